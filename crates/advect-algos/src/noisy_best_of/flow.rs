//! The policy of FLAME and FPMD: a rectified flow or a MeanFlow with its sampler.

use std::sync::Arc;

use advect_kernels::{ParamLayout, Precision, pointwise};
use candle_core::{Result, Tensor};

use super::config::NoisyBestOfConfig;
use super::policy::Policy;
use crate::dims::Dims;
use crate::generator::{Generator, Variant};
use crate::normals::Normals;

/// A flow that generates actions from noise.
#[derive(Debug, Clone, PartialEq)]
pub struct FlowPolicy {
    /// The network.
    pub generator: Generator,
    /// Width of the action.
    pub act_dim: usize,
    /// Generation steps.
    pub n_gen: usize,
    /// Standard deviation of the source noise.
    pub base_std: f64,
    /// Whether candidates are clipped to `[-1, 1]^d` before the critics see them.
    pub clip_candidates: bool,
    /// Evaluates with one network call instead of the best candidate.
    pub one_step_eval: bool,
}

impl FlowPolicy {
    /// The policy of a variant with FLAME's networks; its candidates are ranked as they are.
    ///
    /// # Errors
    /// If a width is zero.
    pub fn new(
        variant: Variant,
        shared: &NoisyBestOfConfig,
        n_gen: usize,
        dims: Dims,
    ) -> Result<Self> {
        Ok(Self {
            generator: Generator::new(variant, dims.obs, dims.act, &shared.hidden)?,
            act_dim: dims.act,
            n_gen,
            base_std: shared.base_std,
            clip_candidates: false,
            one_step_eval: false,
        })
    }

    /// `P` unclipped actions per state from standard normals `xi` (flame.md section 6).
    ///
    /// # Shapes
    /// `params` `[N]`, `obs` `[B, o]`, `xi` `[B, P, d]` to `[B, P, d]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn generate(
        &self,
        params: &Tensor,
        obs: &Tensor,
        xi: &Tensor,
        precision: Precision,
    ) -> Result<Tensor> {
        let z = match self.base_std {
            1.0 => xi.clone(),
            std => (xi * std)?,
        };
        self.generator
            .candidates(params, obs, &z, self.n_gen, precision)
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
        pointwise::clamp(&act.squeeze(1)?, -1.0, 1.0)
    }
}

impl Policy for FlowPolicy {
    fn layout(&self) -> &Arc<ParamLayout> {
        self.generator.layout()
    }

    fn candidates(
        &self,
        params: &Tensor,
        obs: &Tensor,
        count: usize,
        normals: &mut Normals<'_>,
        precision: Precision,
    ) -> Result<Tensor> {
        let shape = (obs.dim(0)?, count, self.act_dim);
        let xi = normals.draw(shape, obs.device())?;
        let candidates = self.generate(params, obs, &xi, precision)?;
        if self.clip_candidates {
            return pointwise::clamp(&candidates, -1.0, 1.0);
        }
        Ok(candidates)
    }

    fn one_step(&self, params: &Tensor, obs: &Tensor) -> Result<Option<Tensor>> {
        let act = self.one_step_eval.then(|| self.one_call(params, obs));
        act.transpose()
    }
}
