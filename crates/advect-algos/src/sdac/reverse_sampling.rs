//! Reverse-sampling score matching (baselines.md section 3): which noise in a noised action leads to a good action?
//!
//! `K` noises imply `K` actions of one noised action `x_k`; softmax weights of their values say which noise to predict. The `K`
//! targets of a row share the network's input and the weights sum to one, so their mean has the same gradient (flame.md eq. 6).

use advect_flow::NoiseSchedule;
use advect_flow::flow_matching::{regression_loss, weighted_mean};
use candle_core::{Result, Tensor};

/// `a_bj = clip( (x_k - sqrt(1 - alpha_bar_k) eps_bj) / sqrt(alpha_bar_k), -1, 1 )`: the actions that the noises imply.
///
/// # Shapes
/// `x_k` `[B, d]`, `k` `[B]` u32, `eps` `[B, K, d]` to `[B, K, d]`.
///
/// # Errors
/// On a shape mismatch.
pub fn implied_actions(
    schedule: &NoiseSchedule,
    x_k: &Tensor,
    k: &Tensor,
    eps: &Tensor,
) -> Result<Tensor> {
    schedule.implied_x_0(&x_k.unsqueeze(1)?, eps, k, 1.0)
}

/// `mean_(B, d) (eps_theta(s, x_k, k) - eps_bar)^2` on `B` rows, `eps_bar = sum_j w_j eps_j`: the gradient of
/// `mean_(B, d) sum_j w_j (eps_theta(s, x_k, k) - eps_j)^2`.
///
/// # Shapes
/// `predicted` `[B, d]`, `eps` `[B, K, d]`, `weights` `[B, K]` to a scalar.
///
/// # Errors
/// On a shape mismatch.
pub fn loss(predicted: &Tensor, eps: &Tensor, weights: &Tensor) -> Result<Tensor> {
    regression_loss(predicted, &weighted_mean(weights, eps)?)
}
