//! FPMD-M: weighted MeanFlow, noise-up (baselines.md section 5).

use advect_flow::meanflow::{self, Regression};
use advect_flow::{MeanVelocityNet, TimeConvention};
use candle_core::{Result, Tensor};

use crate::rows::{Coordinates, weighted_rows_loss};

/// `mean_(B, d) w_b (u_theta(s, x_t, r, t) - stop_grad(v - (t - r) du/dt))^2`, `x_t = (1 - t) a + t n`, `v = n - a`.
///
/// # Shapes
/// `params` `[N]`, `obs` `[B, o]`, `act` and `noise` `[B, d]`, `span = (r, t)` and `weights` `[B]` to a scalar.
///
/// # Errors
/// On a shape mismatch.
pub fn loss(
    net: &MeanVelocityNet,
    params: &Tensor,
    obs: &Tensor,
    (act, noise): (&Tensor, &Tensor),
    span: (&Tensor, &Tensor),
    weights: &Tensor,
) -> Result<Tensor> {
    let x_t = TimeConvention::NoiseUp.interpolate(act, noise, span.1)?;
    let v = TimeConvention::NoiseUp.velocity(act, noise)?;
    let Regression { u, target } = meanflow::regression(net, params, obs, &x_t, span, &v)?;
    weighted_rows_loss(
        &u,
        &target.target,
        &weights.unsqueeze(1)?,
        Coordinates::Mean,
    )
}
