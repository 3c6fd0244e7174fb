//! FPMD-R: weighted rectified flow, data-up (baselines.md section 5).

use advect_flow::{TimeConvention, VelocityNet};
use candle_core::{Result, Tensor};

use crate::rows::{Coordinates, weighted_rows_loss};

/// `mean_(B, d) w_b (v_theta(s, x_tau, tau) - (a - n))^2`, `x_tau = tau a + (1 - tau) n`.
///
/// # Shapes
/// `params` `[N]`, `obs` `[B, o]`, `act` and `noise` `[B, d]`, `tau` and `weights` `[B]` to a scalar.
///
/// # Errors
/// On a shape mismatch.
pub fn loss(
    net: &VelocityNet,
    params: &Tensor,
    obs: &Tensor,
    (act, noise): (&Tensor, &Tensor),
    tau: &Tensor,
    weights: &Tensor,
) -> Result<Tensor> {
    let x_tau = TimeConvention::DataUp.interpolate(act, noise, tau)?;
    let target = TimeConvention::DataUp.velocity(act, noise)?;
    let v = net.forward(params, obs, &x_tau, [tau])?;
    weighted_rows_loss(&v, &target, &weights.unsqueeze(1)?, Coordinates::Mean)
}
