//! The policy of SDAC and DPMD: a network that predicts noise, and the reverse chain of a DDPM.

use std::sync::Arc;

use advect_flow::{Candidates, NetConfig, NoiseSchedule, ReverseChain, VelocityNet};
use advect_kernels::{ParamLayout, Precision, random};
use advect_rng::Stream;
use candle_core::{DType, Result, Tensor};
use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

use super::config::NoisyBestOfConfig;
use super::policy::Policy;
use crate::dims::Dims;
use crate::error::AlgoError;
use crate::validate::{at_least_one, positive};

/// The chain; baselines.md section 3. (C) is the authors' code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DocumentedFields)]
pub struct DiffusionConfig {
    /// Diffusion steps, `T`. (C) 20.
    pub n_diffusion: usize,
    /// `beta_k` rises linearly from `beta_scale beta_first` to `beta_scale beta_last`. (C) 0.8.
    pub beta_scale: f64,
    /// First `beta` before the factor. (C) 1e-4.
    pub beta_first: f64,
    /// Last `beta` before the factor. (C) 0.999.
    pub beta_last: f64,
}

impl Default for DiffusionConfig {
    fn default() -> Self {
        Self {
            n_diffusion: 20,
            beta_scale: 0.8,
            beta_first: 1e-4,
            beta_last: 0.999,
        }
    }
}

impl DiffusionConfig {
    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// [`AlgoError::Value`] with the key, what is wrong and the fix.
    pub fn validate(&self) -> std::result::Result<(), AlgoError> {
        at_least_one(&[("n_diffusion", self.n_diffusion as u64)])?;
        positive(&[
            ("beta_scale", self.beta_scale),
            ("beta_first", self.beta_first),
            ("beta_last", self.beta_last),
        ])?;
        let highest = self.beta_scale * self.beta_first.max(self.beta_last);
        if highest >= 1.0 {
            let keys = "beta_scale times beta_first or beta_last";
            return Err(AlgoError::value(keys, highest, "stay below 1"));
        }
        Ok(())
    }
}

/// `eps_theta(s, x, k)` in FLAME's network shape, the step's index as its time, with its schedule.
#[derive(Debug, Clone, PartialEq)]
pub struct DiffusionPolicy {
    net: VelocityNet,
    schedule: NoiseSchedule,
    base_std: f64,
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
    /// The policy of a configuration.
    ///
    /// # Errors
    /// If the chain makes no sense or a width is zero.
    pub fn new(
        config: &DiffusionConfig,
        shared: &NoisyBestOfConfig,
        dims: Dims,
    ) -> std::result::Result<Self, AlgoError> {
        config.validate()?;
        let DiffusionConfig {
            n_diffusion,
            beta_scale,
            beta_first,
            beta_last,
        } = *config;
        let net = NetConfig::flame(dims.obs, dims.act, &shared.hidden)?;
        Ok(Self {
            net: VelocityNet::new(&net)?,
            schedule: NoiseSchedule::linear(n_diffusion, beta_scale, beta_first, beta_last)?,
            base_std: shared.base_std,
        })
    }

    /// The network.
    pub fn net(&self) -> &VelocityNet {
        &self.net
    }

    /// The steps.
    pub fn schedule(&self) -> &NoiseSchedule {
        &self.schedule
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

    /// Uniform random steps `0..T` and standard normals, one of each per row of `act`: `[B]` u32 and `[B, d]`.
    pub(crate) fn draw(&self, act: &Tensor, stream: &mut Stream) -> Result<(Tensor, Tensor)> {
        let (steps, rows) = (self.schedule.n_steps() as u32, act.dim(0)?);
        let k = random::indices(stream, steps, rows, act.device())?;
        Ok((k, random::normal(stream, act.dims(), act.device())?))
    }
}

impl Policy for DiffusionPolicy {
    fn layout(&self) -> &Arc<ParamLayout> {
        self.net.layout()
    }

    /// The start, then the noise of the steps `1..T`.
    fn noise_width(&self) -> usize {
        self.schedule.n_steps() * self.net.act_dim()
    }

    fn candidates(
        &self,
        params: &Tensor,
        obs: &Tensor,
        noise: &Tensor,
        precision: Precision,
    ) -> Result<Tensor> {
        let field = Candidates {
            net: &self.net,
            params,
            obs,
            precision,
        };
        let chain = ReverseChain {
            start_std: self.base_std,
            ..ReverseChain::new(&self.schedule)
        };
        let d = self.net.act_dim();
        let slot = |k: usize| noise.narrow(2, k * d, d)?.contiguous();
        chain.sample(&field, &slot(0)?, slot)
    }
}
