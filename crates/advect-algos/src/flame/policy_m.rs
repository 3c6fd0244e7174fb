//! FLAME-M: reweighted MeanFlow, noise-up (flame.md 3.3 and 3.4).

use advect_flow::flow_matching::{TimeConvention, regression_loss};
use advect_flow::meanflow::{self, MeanFlowTarget, Regression, adaptive_loss, sample_loss};
use advect_flow::sampler::integrate;
use advect_flow::{Conditional, Grid, MeanVelocityNet};
use advect_rl::CriticNet;
use candle_core::{Result, Tensor};

use super::proposals::Proposals;
use crate::rows::{Coordinates, repeat_rows, weighted_rows_loss};

/// A policy loss with the quantities in it.
#[derive(Debug, Clone)]
pub struct SharedLoss {
    /// Scalar to differentiate.
    pub loss: Tensor,
    /// `u_theta(s, z, r, t)` `[B, d]`.
    pub u: Tensor,
    /// Tangent and target for the mean velocity.
    pub target: MeanFlowTarget,
}

/// `mean (u - stop_grad(v_bar - (t - r) jvp(v_bar, 0, 1)))^2` on `B` rows (eq. 6).
///
/// With `adaptive_c`, every row's sum of squares is divided by itself plus that constant.
///
/// # Shapes
/// `params` `[N]`, `obs` `[B, o]`, `z` and `v_bar` `[B, d]`, `span = (r, t)` both `[B]`.
///
/// # Errors
/// On a shape mismatch.
pub fn shared_loss(
    net: &MeanVelocityNet,
    params: &Tensor,
    obs: &Tensor,
    z: &Tensor,
    span: (&Tensor, &Tensor),
    v_bar: &Tensor,
    adaptive_c: Option<f64>,
) -> Result<SharedLoss> {
    let Regression { u, target } = meanflow::regression(net, params, obs, z, span, v_bar)?;
    let loss = match adaptive_c {
        None => regression_loss(&u, &target.target)?,
        Some(c) => adaptive_loss(&sample_loss(&u, &target.target)?, c)?,
    };
    Ok(SharedLoss { loss, u, target })
}

/// `mean_(B, d) sum_k w_k (u - tgt_k)^2` on `B K` rows: the same gradient as [`shared_loss`], `K` times the cost.
///
/// # Shapes
/// `params` `[N]`, `obs` `[B, o]`, `r` and `t` `[B]`, `weights` `[B, K]` to a scalar.
///
/// # Errors
/// On a shape mismatch.
pub fn row_loss(
    net: &MeanVelocityNet,
    params: &Tensor,
    obs: &Tensor,
    (r, t): (&Tensor, &Tensor),
    proposals: &Proposals,
    weights: &Tensor,
) -> Result<Tensor> {
    let k = weights.dim(1)?;
    let (obs, z) = (repeat_rows(obs, k)?, repeat_rows(&proposals.z, k)?);
    let (r, t) = (repeat_rows(r, k)?, repeat_rows(t, k)?);
    let velocity = TimeConvention::NoiseUp
        .velocity(&proposals.act, &proposals.eps)?
        .flatten(0, 1)?;
    let Regression { u, target } =
        meanflow::regression(net, params, &obs, &z, (&r, &t), &velocity)?;
    weighted_rows_loss(&u, &target.target, weights, Coordinates::Mean)
}

/// The `-Q` term of eq. (7).
#[derive(Debug, Clone)]
pub struct DpgLoss {
    /// `-mean min(Q1, Q2)(s, action)`, differentiable in the policy's parameters only.
    pub loss: Tensor,
    /// `clip(zeta - u_theta(s, zeta, 0, 1), -1, 1)` `[B, d]`.
    pub action: Tensor,
}

/// `-mean_b min(Q1, Q2)(s, clip(G_theta(s, zeta)))` with one generation step from `zeta = base_std xi` (eq. 7).
///
/// # Shapes
/// `params` `[N]`, `critics` `[2, M]`, `obs` `[B, o]`, `xi` `[B, d]`.
///
/// # Errors
/// On a shape mismatch.
pub fn dpg_loss(
    net: &MeanVelocityNet,
    params: &Tensor,
    critic: &CriticNet,
    critics: &Tensor,
    obs: &Tensor,
    xi: &Tensor,
    base_std: f64,
) -> Result<DpgLoss> {
    let zeta = (xi * base_std)?;
    let field = Conditional { net, params, obs };
    let action = integrate(&field, &zeta, Grid::downwards(1))?.clamp(-1.0, 1.0)?;
    let loss = critic
        .min_q(&critics.detach(), obs, &action)?
        .mean_all()?
        .neg()?;
    Ok(DpgLoss { loss, action })
}
