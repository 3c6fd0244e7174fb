//! FPMD-M: weighted MeanFlow, noise-up (baselines.md section 5).

use advect_flow::{MeanVelocityNet, TimeConvention, meanflow};
use candle_core::{Result, Tensor};

use crate::rows::{Coordinates, weighted_rows_loss};

/// `mean_(B, d) w_b (u_theta(s, x_t, r, t) - stop_grad(v - (t - r) du/dt))^2`, `x_t = (1 - t) a + t n`, `v = n - a`.
///
/// # Shapes
/// `params` `[N]`, `obs` `[B, o]`, `act` and `noise` `[B, d]`, `r`, `t` and `weights` `[B]` to a scalar.
///
/// # Errors
/// On a shape mismatch.
pub fn loss(
    net: &MeanVelocityNet,
    params: &Tensor,
    obs: &Tensor,
    (act, noise): (&Tensor, &Tensor),
    (r, t): (&Tensor, &Tensor),
    weights: &Tensor,
) -> Result<Tensor> {
    let x_t = TimeConvention::NoiseUp.interpolate(act, noise, t)?;
    let v = TimeConvention::NoiseUp.velocity(act, noise)?;
    let target = meanflow::target(net, params, obs, &x_t, r, t, &v)?.target;
    let u = net.forward(params, obs, &x_t, [r, t])?;
    weighted_rows_loss(&u, &target, &weights.unsqueeze(1)?, Coordinates::Mean)
}
