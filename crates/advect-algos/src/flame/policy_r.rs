//! FLAME-R: reweighted flow matching, data-up (flame.md 3.2).

use advect_flow::VelocityNet;
use advect_flow::flow_matching::{TimeConvention, regression_loss};
use candle_core::{Result, Tensor};

use super::config::KReduction;
use super::proposals::Proposals;
use crate::rows::{Coordinates, repeat_rows, weighted_rows_loss};

/// `c` of the loss: 1 for a sum over proposals, `1/K` for a mean.
pub fn reduction_factor(reduction: KReduction, num_proposals: usize) -> f64 {
    match reduction {
        KReduction::Sum => 1.0,
        KReduction::Mean => (num_proposals as f64).recip(),
    }
}

/// `mean (v_theta(s, z, tau) - u_bar)^2` on `B` rows, `u_bar = sum_k w_k (a_k - eps_k)` (eq. 6).
///
/// # Shapes
/// `params` `[N]`, `obs` `[B, o]`, `z` and `u_bar` `[B, d]`, `tau` `[B]` to a scalar.
///
/// # Errors
/// On a shape mismatch.
pub fn shared_loss(
    net: &VelocityNet,
    params: &Tensor,
    obs: &Tensor,
    z: &Tensor,
    tau: &Tensor,
    u_bar: &Tensor,
) -> Result<Tensor> {
    regression_loss(&net.forward(params, obs, z, [tau])?, u_bar)
}

/// `mean_(B, d) sum_k w_k (v_theta(s, z, tau) - u_k)^2` on `B K` rows: the same gradient as [`shared_loss`].
///
/// # Shapes
/// `params` `[N]`, `obs` `[B, o]`, `tau` `[B]`, `weights` `[B, K]` to a scalar.
///
/// # Errors
/// On a shape mismatch.
pub fn row_loss(
    net: &VelocityNet,
    params: &Tensor,
    obs: &Tensor,
    tau: &Tensor,
    proposals: &Proposals,
    weights: &Tensor,
) -> Result<Tensor> {
    let k = weights.dim(1)?;
    let (obs, z, tau) = (
        repeat_rows(obs, k)?,
        repeat_rows(&proposals.z, k)?,
        repeat_rows(tau, k)?,
    );
    let target = TimeConvention::DataUp
        .velocity(&proposals.act, &proposals.eps)?
        .flatten(0, 1)?;
    let v = net.forward(params, &obs, &z, [&tau])?;
    weighted_rows_loss(&v, &target, weights, Coordinates::Mean)
}
