//! The policy of SDAC and DPMD: a [`DiffusionPolicy`] in FLAME's network shape, with a linear schedule.

use std::sync::Arc;

use advect_flow::{NetConfig, NoiseSchedule};
use advect_kernels::{ParamLayout, Precision};
use candle_core::{Result, Tensor};
use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

use super::config::NoisyBestOfConfig;
use super::policy::Policy;
use crate::diffusion_policy::DiffusionPolicy;
use crate::dims::Dims;
use crate::error::AlgoError;
use crate::normals::Normals;
use crate::validate::{at_least_one, positive};

/// The chain; baselines.md section 3. (C) is the authors' code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DocumentedFields)]
pub struct ChainConfig {
    /// Diffusion steps, `T`. (C) 20.
    pub n_diffusion: usize,
    /// `beta_k` rises linearly from `beta_scale beta_first` to `beta_scale beta_last`. (C) 0.8.
    pub beta_scale: f64,
    /// First `beta` before the factor. (C) 1e-4.
    pub beta_first: f64,
    /// Last `beta` before the factor. (C) 0.999.
    pub beta_last: f64,
}

impl Default for ChainConfig {
    fn default() -> Self {
        Self {
            n_diffusion: 20,
            beta_scale: 0.8,
            beta_first: 1e-4,
            beta_last: 0.999,
        }
    }
}

impl ChainConfig {
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

    /// The policy: the step's index is the time of FLAME's network.
    ///
    /// # Errors
    /// If a width is zero.
    pub fn policy(&self, shared: &NoisyBestOfConfig, dims: Dims) -> Result<DiffusionPolicy> {
        let net = NetConfig::flame(dims.obs, dims.act, &shared.hidden)?;
        let (first, last) = (self.beta_first, self.beta_last);
        let schedule = NoiseSchedule::linear(self.n_diffusion, self.beta_scale, first, last)?;
        DiffusionPolicy::new(&net, schedule, shared.base_std)
    }
}

impl Policy for DiffusionPolicy {
    fn layout(&self) -> &Arc<ParamLayout> {
        self.layout()
    }

    fn candidates(
        &self,
        params: &Tensor,
        obs: &Tensor,
        count: usize,
        normals: &mut Normals<'_>,
        precision: Precision,
    ) -> Result<Tensor> {
        self.draw(params, obs, count, normals, precision)
    }
}
