//! Weighted conditional flow matching (fmer.md section 4).

use advect_flow::{TimeConvention, VelocityNet};
use candle_core::{Result, Tensor};

use crate::rows::{Coordinates, repeat_rows, weighted_rows_loss};

/// Regression pairs, one row per candidate.
#[derive(Debug, Clone)]
pub struct Pairs {
    /// States `[B K, o]`.
    pub obs: Tensor,
    /// `u_tau = (1 - tau) z + tau u` `[B K, d]`.
    pub u_tau: Tensor,
    /// Flow times `[B K]`.
    pub tau: Tensor,
    /// `u - z` `[B K, d]`.
    pub target: Tensor,
}

impl Pairs {
    /// Pairs of endpoint latents with fresh noise `z`, independent of what generated the latents.
    ///
    /// # Shapes
    /// `obs` `[B, o]`, `latent` and `z` `[B, K, d]`, `tau` `[B, K]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn new(obs: &Tensor, latent: &Tensor, z: &Tensor, tau: &Tensor) -> Result<Self> {
        let path = TimeConvention::DataUp;
        let (latent, z) = (latent.flatten(0, 1)?, z.flatten(0, 1)?);
        let k = tau.dim(1)?;
        let tau = tau.flatten_all()?;
        Ok(Self {
            obs: repeat_rows(obs, k)?,
            u_tau: path.interpolate(&latent, &z, &tau)?,
            target: path.velocity(&latent, &z)?,
            tau,
        })
    }

    /// `v_theta(u_tau, tau, s)` `[B K, d]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn velocity(&self, net: &VelocityNet, params: &Tensor) -> Result<Tensor> {
        net.forward(params, &self.obs, &self.u_tau, [&self.tau])
    }

    /// `(1/B) sum_b sum_k w_bk |v_bk - (u_bk - z_bk)|^2`, the squared norm summed over coordinates.
    ///
    /// # Shapes
    /// `v` `[B K, d]`, `weights` `[B, K]` to a scalar.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn loss(&self, v: &Tensor, weights: &Tensor) -> Result<Tensor> {
        weighted_rows_loss(v, &self.target, weights, Coordinates::Sum)
    }
}
