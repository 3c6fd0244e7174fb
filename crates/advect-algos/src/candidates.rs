//! Several actions per state: ranked by the critics, weighted by their values.

use advect_kernels::Precision;
use advect_rl::CriticNet;
use advect_rl::TwinCritic;
use candle_core::{D, Result, Tensor};

/// Scores of candidates and the best of them.
#[derive(Debug, Clone)]
pub struct Ranked {
    /// `min(Q1, Q2)` `[B, P]`.
    pub score: Tensor,
    /// First index of the largest score `[B]`, u32.
    pub index: Tensor,
    /// The candidate at that index `[B, d]`.
    pub action: Tensor,
}

/// Scores `P` candidates per state under the twin minimum and takes the best, without gradient.
///
/// # Shapes
/// `critics` `[2, M]`, `obs` `[B, o]`, `candidates` `[B, P, d]`.
///
/// # Errors
/// On a shape mismatch.
pub fn rank(
    critic: &CriticNet,
    critics: &Tensor,
    obs: &Tensor,
    candidates: &Tensor,
    precision: Precision,
) -> Result<Ranked> {
    let score = critic.min_q_candidates(critics, obs, candidates, precision)?;
    let index = score.argmax(D::Minus1)?;
    let action = select(candidates, &index)?;
    Ok(Ranked {
        score,
        index,
        action,
    })
}

/// The best of `P` candidates under the online critics; with one candidate, that one, unscored.
///
/// # Shapes
/// `obs` `[B, o]`, `candidates` `[B, P, d]` to `[B, d]`.
///
/// # Errors
/// On a shape mismatch.
pub(crate) fn best(
    critic: &TwinCritic,
    obs: &Tensor,
    candidates: &Tensor,
    precision: Precision,
) -> Result<Tensor> {
    if candidates.dim(1)? == 1 {
        return candidates.squeeze(1);
    }
    let critics = critic.online().detached();
    Ok(rank(critic.net(), &critics, obs, candidates, precision)?.action)
}

/// `candidates[b, index[b]]`: `[B, P, d]` and `[B]` to `[B, d]`.
///
/// # Errors
/// On a shape mismatch.
pub fn select(candidates: &Tensor, index: &Tensor) -> Result<Tensor> {
    let (rows, _, d) = candidates.dims3()?;
    let index = index
        .reshape((rows, 1, 1))?
        .broadcast_as((rows, 1, d))?
        .contiguous()?;
    candidates.gather(&index, 1)?.squeeze(1)
}

/// `w = softmax_k(q / temperature)`.
///
/// # Shapes
/// `q` `[B, K]` to `[B, K]`.
///
/// # Errors
/// If the device fails.
pub fn softmax_weights(q: &Tensor, temperature: f64) -> Result<Tensor> {
    let above = q.broadcast_sub(&q.max_keepdim(D::Minus1)?)?;
    let odds = (above * temperature.recip())?.exp()?;
    odds.broadcast_div(&odds.sum_keepdim(D::Minus1)?)
}

/// Effective sample size of every row's weights, `1 / sum_k w_k^2`.
///
/// # Shapes
/// `weights` `[B, K]` to `[B]`.
///
/// # Errors
/// If the device fails.
pub fn effective_size(weights: &Tensor) -> Result<Tensor> {
    weights.sqr()?.sum(D::Minus1)?.recip()
}

/// Effective sample size over `K`, mean over rows: `mean_b 1 / (K sum_k w_k^2)`.
///
/// # Shapes
/// `weights` `[B, K]` to a scalar.
///
/// # Errors
/// If the device fails.
pub fn effective_fraction(weights: &Tensor) -> Result<Tensor> {
    let k = weights.dim(1)? as f64;
    effective_size(weights)?.mean_all()? / k
}
