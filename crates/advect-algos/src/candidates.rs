//! Several actions per state: ranked by the critics, weighted by their values.

use advect_kernels::scalars::Scalar;
use advect_kernels::{Params, Precision, candidates as kernel, pointwise};
use advect_rl::CriticNet;
use candle_core::{D, DType, Result, Tensor};

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

/// The best of `P` candidates under `critics`, clipped to `bounds` if there are some; with one candidate, that one, unscored.
///
/// # Shapes
/// `critics` `[2, M]`, `obs` `[B, o]`, `candidates` `[B, P, d]` to `[B, d]`.
///
/// # Errors
/// On a shape mismatch.
pub(crate) fn best(
    critic: &CriticNet,
    critics: &Params,
    obs: &Tensor,
    candidates: &Tensor,
    precision: Precision,
    bounds: Option<[f64; 2]>,
) -> Result<Tensor> {
    if candidates.dim(1)? == 1 {
        let only = candidates.squeeze(1)?;
        return match bounds {
            Some([low, high]) => pointwise::clamp(&only, low, high),
            None => Ok(only),
        };
    }
    let q = critic.q_candidates(&critics.detached(), obs, candidates, precision)?;
    kernel::best(&q, candidates, bounds)
}

/// `candidates[b, index[b]]`: `[B, P, d]` and `[B]` to `[B, d]`.
///
/// # Errors
/// On a shape mismatch.
pub fn select(candidates: &Tensor, index: &Tensor) -> Result<Tensor> {
    select_many(candidates, &index.unsqueeze(1)?)?.squeeze(1)
}

/// `candidates[b, index[b, m]]`: `[B, P, d]` and `[B, M]` to `[B, M, d]`.
///
/// # Errors
/// On a shape mismatch.
pub fn select_many(candidates: &Tensor, index: &Tensor) -> Result<Tensor> {
    let ((rows, count), d) = (index.dims2()?, candidates.dim(2)?);
    let index = index
        .unsqueeze(2)?
        .broadcast_as((rows, count, d))?
        .contiguous()?;
    candidates.contiguous()?.gather(&index, 1)
}

/// `w = softmax_k(q / temperature)`, without gradient; `q` is the least of several members' values.
///
/// # Shapes
/// `q` `[B, K]` or `[E, B, K]` to `[B, K]`.
///
/// # Errors
/// If the device fails.
pub fn softmax_weights(q: &Tensor, temperature: impl Into<Scalar>) -> Result<Tensor> {
    kernel::softmax(q, &temperature.into())
}

/// One candidate per level, with the weights as probabilities: the first `k` with `w_1 + .. + w_k > level`.
///
/// # Shapes
/// `weights` `[B, K]` that sum to one, `levels` `[B, M]` in `[0, 1)` to indices `[B, M]`, u32.
///
/// # Errors
/// On a shape mismatch.
pub fn resample(weights: &Tensor, levels: &Tensor) -> Result<Tensor> {
    let last = weights.dim(1)?.saturating_sub(1) as f64;
    let mass = weights.cumsum(1)?.unsqueeze(1)?;
    let below = mass.broadcast_le(&levels.unsqueeze(2)?)?;
    let count = below.to_dtype(DType::F32)?.sum(2)?;
    count.clamp(0.0, last)?.to_dtype(DType::U32)
}

/// `KL(w || 1/K) = log K + sum_k w_k log w_k` of every row's weights.
///
/// # Shapes
/// `weights` `[B, K]` to `[B]`.
///
/// # Errors
/// If the device fails.
pub fn kl_from_uniform(weights: &Tensor) -> Result<Tensor> {
    let log_k = (weights.dim(1)? as f64).ln();
    let log_w = weights.maximum(f32::MIN_POSITIVE)?.log()?;
    (weights * log_w)?.sum(D::Minus1)? + log_k
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
    kernel::effective_fraction(weights)
}
