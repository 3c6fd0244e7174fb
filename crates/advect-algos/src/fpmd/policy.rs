//! The flow as a policy: best of several samples, or one call from the base's mean.

use std::sync::Arc;

use advect_flow::TimeSampler;
use advect_kernels::{ParamLayout, Precision, random};
use advect_rng::Stream;
use candle_core::{Result, Tensor};

use super::config::FpmdConfig;
use super::{policy_m, policy_r};
use crate::dims::Dims;
use crate::generator::{Generator, Variant};
use crate::noisy_best_of::{Policy, Regress};

/// Flow times of the loss: uniform on (0, 1).
const TIMES: TimeSampler = TimeSampler::Uniform {
    low: 0.0,
    high: 1.0,
};

/// A rectified flow or a MeanFlow with its sampler.
#[derive(Debug, Clone, PartialEq)]
pub struct FlowPolicy {
    generator: Generator,
    act_dim: usize,
    n_gen: usize,
    base_std: f64,
    one_step_eval: bool,
}

impl FlowPolicy {
    /// The policy of a configuration.
    ///
    /// # Errors
    /// If a width is zero.
    pub fn new(variant: Variant, config: &FpmdConfig, dims: Dims) -> Result<Self> {
        Ok(Self {
            generator: Generator::new(variant, dims.obs, dims.act, &config.shared.hidden)?,
            act_dim: dims.act,
            n_gen: config.n_gen,
            base_std: config.shared.base_std,
            one_step_eval: config.one_step_eval,
        })
    }

    /// The network.
    pub fn generator(&self) -> &Generator {
        &self.generator
    }

    /// One call from `x = 0`, the base's mean: `clip(v_theta(s, 0, 0))` or `clip(-u_theta(s, 0, 0, 1))`.
    ///
    /// # Shapes
    /// `params` `[N]`, `obs` `[B, o]` to `[B, d]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn one_call(&self, params: &Tensor, obs: &Tensor) -> Result<Tensor> {
        let zero = Tensor::zeros((obs.dim(0)?, 1, self.act_dim), obs.dtype(), obs.device())?;
        let precision = Precision::F32;
        let act = self
            .generator
            .candidates(params, obs, &zero, 1, precision)?;
        act.squeeze(1)?.clamp(-1.0, 1.0)
    }
}

impl Policy for FlowPolicy {
    fn layout(&self) -> &Arc<ParamLayout> {
        self.generator.layout()
    }

    fn noise_width(&self) -> usize {
        self.act_dim
    }

    fn candidates(
        &self,
        params: &Tensor,
        obs: &Tensor,
        noise: &Tensor,
        precision: Precision,
    ) -> Result<Tensor> {
        let start = (noise * self.base_std)?;
        self.generator
            .candidates(params, obs, &start, self.n_gen, precision)?
            .clamp(-1.0, 1.0)
    }

    fn one_step(&self, params: &Tensor, obs: &Tensor) -> Result<Option<Tensor>> {
        let act = self.one_step_eval.then(|| self.one_call(params, obs));
        act.transpose()
    }
}

impl Regress for FlowPolicy {
    fn weighted_loss(
        &self,
        params: &Tensor,
        obs: &Tensor,
        act: &Tensor,
        weights: &Tensor,
        stream: &mut Stream,
    ) -> Result<Tensor> {
        let (rows, device) = (act.dim(0)?, act.device());
        let noise = random::normal(stream, act.dims(), device)?;
        let mut time = || TIMES.map(&random::uniform(stream, 0.0, 1.0, rows, device)?);
        let first = time()?;
        match &self.generator {
            Generator::R(net) => policy_r::loss(net, params, obs, (act, &noise), &first, weights),
            Generator::M(net) => {
                let second = time()?;
                let (r, t) = (first.minimum(&second)?, first.maximum(&second)?);
                policy_m::loss(net, params, obs, (act, &noise), (&r, &t), weights)
            }
        }
    }
}
