//! DPMD's loss: weighted denoising (baselines.md section 3).

use advect_kernels::random;
use advect_rng::Stream;
use candle_core::{Result, Tensor};

use crate::diffusion_policy::DiffusionPolicy;
use crate::noisy_best_of::Regress;
use crate::rows::{Coordinates, weighted_rows_loss};

/// `mean_(B, d) w_b (eps_theta(s, x_k, k) - eps)^2`, noise and weights constant.
///
/// # Shapes
/// `predicted` and `eps` `[B, d]`, `weights` `[B]` to a scalar.
///
/// # Errors
/// On a shape mismatch.
pub fn loss(predicted: &Tensor, eps: &Tensor, weights: &Tensor) -> Result<Tensor> {
    weighted_rows_loss(predicted, eps, &weights.unsqueeze(1)?, Coordinates::Mean)
}

impl Regress for DiffusionPolicy {
    fn weighted_loss(
        &self,
        params: &Tensor,
        obs: &Tensor,
        act: &Tensor,
        weights: &Tensor,
        stream: &mut Stream,
    ) -> Result<Tensor> {
        let k = self.steps(stream, act.dim(0)?, act)?;
        let eps = random::normal(stream, act.dims(), act.device())?;
        let predicted = self.denoise(params, obs, act, &eps, &k)?.predicted;
        loss(&predicted, &eps, weights)
    }
}
