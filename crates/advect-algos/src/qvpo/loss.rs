//! The weighted denoising loss.

use candle_core::{Result, Tensor};

use crate::diffusion_policy::{Denoised, DiffusionPolicy};
use crate::rows::{Coordinates, repeat_rows, weighted_rows_loss};

/// Steps and noise of `R` rows per state.
#[derive(Debug, Clone)]
pub struct RowNoise {
    /// Diffusion steps `[B, R]`, u32.
    pub k: Tensor,
    /// Standard normals `[B, R, d]`.
    pub eps: Tensor,
}

/// The loss and what it was taken on.
#[derive(Debug, Clone)]
pub struct Regression {
    /// `x_k` `[B, R, d]`.
    pub noised: Tensor,
    /// Scalar, differentiable in the policy's parameters.
    pub loss: Tensor,
}

/// The actions of every state, `[best, uniform_1, .., uniform_m]`: `[B, d]` and `[B, m, d]` to `[B, 1 + m, d]`.
///
/// # Errors
/// On a shape mismatch.
pub fn actions(best: &Tensor, uniform: &Tensor) -> Result<Tensor> {
    Tensor::cat(&[&best.unsqueeze(1)?, uniform], 1)
}

/// `mean_(B, R, d) w (eps_theta(x_k, k, s) - eps)^2`, `x_k = sqrt(alpha_bar_k) a + sqrt(1 - alpha_bar_k) eps`; weights constant.
///
/// # Shapes
/// `params` `[N]`, `obs` `[B, o]`, `act` `[B, R, d]`, `weights` `[B, R]`.
///
/// # Errors
/// On a shape mismatch.
pub fn weighted(
    policy: &DiffusionPolicy,
    params: &Tensor,
    obs: &Tensor,
    act: &Tensor,
    weights: &Tensor,
    noise: &RowNoise,
) -> Result<Regression> {
    let rows = act.dim(1)?;
    let eps = noise.eps.flatten(0, 1)?;
    let (obs, x_0, k) = (
        repeat_rows(obs, rows)?,
        act.flatten(0, 1)?,
        noise.k.flatten_all()?,
    );
    let Denoised { noised, predicted } = policy.denoise(params, &obs, &x_0, &eps, &k)?;
    let loss = (weighted_rows_loss(&predicted, &eps, weights, Coordinates::Mean)? / rows as f64)?;
    Ok(Regression {
        noised: noised.reshape(act.shape())?,
        loss,
    })
}
