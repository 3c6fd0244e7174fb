//! A diffusion policy: a noise-prediction network, its schedule, and the actions that they generate.

use std::sync::Arc;

use advect_flow::{Candidates, NetConfig, NoiseSchedule, ReverseChain, VelocityNet};
use advect_kernels::{ParamLayout, Precision, random};
use advect_rng::Stream;
use candle_core::{DType, Result, Tensor};
use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

use crate::dims::Dims;
use crate::error::AlgoError;
use crate::normals::Normals;
use crate::validate::{at_least_one, narrowest, not_negative};

/// Networks and schedule of a diffusion policy. Each algorithm gives its own defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DocumentedFields)]
pub struct DiffusionConfig {
    /// Hidden widths of policy and critics. Three times 256, Mish.
    pub hidden: Vec<usize>,
    /// Width of the step's sinusoid and of its embedding.
    pub time_dim: usize,
    /// Hidden width of the step's embedding.
    pub time_hidden: usize,
    /// Diffusion steps, `T`.
    pub n_diffusion: usize,
    /// Offset `s` of the cosine schedule. 0.008.
    pub cosine_s: f64,
    /// Largest `beta` of the schedule. 0.999.
    pub beta_max: f64,
}

impl Default for DiffusionConfig {
    /// QVPO's: 20 steps, a sinusoid of width 32 with a hidden layer of 256 (baselines.md section 2).
    fn default() -> Self {
        Self {
            hidden: vec![256; 3],
            time_dim: 32,
            time_hidden: 256,
            n_diffusion: 20,
            cosine_s: 0.008,
            beta_max: 0.999,
        }
    }
}

impl DiffusionConfig {
    /// The policy, started from standard normals.
    ///
    /// # Errors
    /// If a width is zero or the schedule leaves (0, 1).
    pub fn policy(&self, dims: Dims) -> Result<DiffusionPolicy> {
        let (hidden, width) = (&self.hidden, self.time_hidden);
        let net = NetConfig::denoiser(dims.obs, dims.act, hidden, self.time_dim, width)?;
        DiffusionPolicy::new(&net, self.schedule()?, 1.0)
    }

    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// [`AlgoError::Value`] with the key, what is wrong and the fix.
    pub fn validate(&self) -> std::result::Result<(), AlgoError> {
        at_least_one(&[
            ("hidden", narrowest(&self.hidden)),
            ("time_hidden", self.time_hidden as u64),
            ("n_diffusion", self.n_diffusion as u64),
        ])?;
        if self.time_dim < 2 || self.time_dim % 2 == 1 {
            let fix = "give an even number of at least 2: as many sines as cosines";
            return Err(AlgoError::value("time_dim", self.time_dim, fix));
        }
        if !(self.beta_max > 0.0 && self.beta_max < 1.0) {
            let fix = "give a number above 0 and below 1";
            return Err(AlgoError::value("beta_max", self.beta_max, fix));
        }
        not_negative(&[("cosine_s", self.cosine_s)])?;
        let refused = |e: candle_core::Error| {
            let found = format!("{} with cosine_s = {}", self.n_diffusion, self.cosine_s);
            AlgoError::value("n_diffusion", found, e)
        };
        self.schedule().map(drop).map_err(refused)
    }

    fn schedule(&self) -> Result<NoiseSchedule> {
        NoiseSchedule::cosine(self.n_diffusion, self.cosine_s, self.beta_max)
    }
}

/// `pi(a | s)` as the end of a reverse chain (`advect_flow::diffusion`); actions lie in `[-1, 1]^d`.
#[derive(Debug, Clone, PartialEq)]
pub struct DiffusionPolicy {
    net: VelocityNet,
    schedule: NoiseSchedule,
    start_std: f64,
}

/// Noised actions and the noise that the network finds in them.
#[derive(Debug, Clone)]
pub struct Denoised {
    /// `x_k` `[B, d]`.
    pub noised: Tensor,
    /// `eps_theta(x_k, k, s)` `[B, d]`, differentiable in the parameters.
    pub predicted: Tensor,
}

impl DiffusionPolicy {
    /// A policy from its network and its schedule.
    ///
    /// # Errors
    /// If a width is zero.
    pub fn new(config: &NetConfig, schedule: NoiseSchedule, start_std: f64) -> Result<Self> {
        Ok(Self {
            net: VelocityNet::new(config)?,
            schedule,
            start_std,
        })
    }

    /// Names and shapes of the parameters, in order.
    pub fn layout(&self) -> &Arc<ParamLayout> {
        self.net.layout()
    }

    /// Width of the action.
    pub fn act_dim(&self) -> usize {
        self.net.act_dim()
    }

    /// The noise that every step adds.
    pub fn schedule(&self) -> &NoiseSchedule {
        &self.schedule
    }

    /// `P` actions per state from standard normals, without gradient: `noise(k)` of `start`'s shape for `k = T-1, .., 1`.
    ///
    /// # Shapes
    /// `params` `[N]`, `obs` `[B, o]`, `start` `[B, P, d]` to `[B, P, d]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn sample(
        &self,
        params: &Tensor,
        obs: &Tensor,
        start: &Tensor,
        noise: impl FnMut(usize) -> Result<Tensor>,
        precision: Precision,
    ) -> Result<Tensor> {
        let chain = ReverseChain {
            start_std: self.start_std,
            ..ReverseChain::new(&self.schedule)
        };
        let field = Candidates {
            net: &self.net,
            params,
            obs,
            precision,
        };
        chain.sample(&field, start, noise)
    }

    /// Noises actions up to steps `k` and predicts the noise.
    ///
    /// # Shapes
    /// `params` `[N]`, `obs` `[B, o]`, `x_0` and `eps` `[B, d]`, `k` `[B]` u32.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn denoise(
        &self,
        params: &Tensor,
        obs: &Tensor,
        x_0: &Tensor,
        eps: &Tensor,
        k: &Tensor,
    ) -> Result<Denoised> {
        let noised = self.schedule.noised(x_0, eps, k)?;
        let time = k.to_dtype(DType::F32)?;
        let predicted = self.net.forward(params, obs, &noised, [&time])?;
        Ok(Denoised { noised, predicted })
    }

    /// [`DiffusionPolicy::sample`] of `per_state` actions with all noise from `normals`, drawn step by step: `[B, per_state, d]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn draw(
        &self,
        params: &Tensor,
        obs: &Tensor,
        per_state: usize,
        normals: &mut Normals<'_>,
        precision: Precision,
    ) -> Result<Tensor> {
        let shape = (obs.dim(0)?, per_state, self.net.act_dim());
        let start = normals.draw(shape, obs.device())?;
        let noise = |_| normals.draw(shape, obs.device());
        self.sample(params, obs, &start, noise, precision)
    }

    /// Uniform random steps `0..T` of any shape, u32.
    pub(crate) fn steps(
        &self,
        stream: &mut Stream,
        shape: impl Into<candle_core::Shape>,
        like: &Tensor,
    ) -> Result<Tensor> {
        random::indices(stream, self.schedule.n_steps() as u32, shape, like.device())
    }
}
