//! Advantages, weights of the mirror step, and the temperature that a set of advantages asks for (fmer.md sections 3.3,
//! 5.3 and 6.2).

use advect_kernels::scalars::Scalar;
use candle_core::{D, DType, Device, Result, Tensor};

use super::dual::Bounds;
use super::switches::Weighting;
use crate::candidates::softmax_weights;

/// Halvings of the interval of log T: its relative length falls below 1e-12.
const HALVINGS: usize = 44;

/// `A^k = q^k - (1/K) sum_j q^j`.
///
/// # Shapes
/// `q` `[B, K]` to `[B, K]`.
///
/// # Errors
/// If the device fails.
pub fn advantage(q: &Tensor) -> Result<Tensor> {
    q.broadcast_sub(&q.mean_keepdim(D::Minus1)?)
}

/// Weights of the candidates: `softmax_k(A / T)`, one-hot of the best, or `exp(A / T)`.
///
/// # Shapes
/// `advantage` `[B, K]` to `[B, K]`.
///
/// # Errors
/// If the device fails.
pub fn weights(
    advantage: &Tensor,
    temperature: impl Into<Scalar>,
    weighting: Weighting,
) -> Result<Tensor> {
    match weighting {
        Weighting::Softmax => softmax_weights(advantage, temperature),
        Weighting::Top1 => one_hot(&advantage.argmax(D::Minus1)?, advantage),
        Weighting::Unnormalised => temperature.into().recip()?.times(advantage)?.exp(),
    }
}

/// 1 at `index[b]` in every row, shaped as `like`.
fn one_hot(index: &Tensor, like: &Tensor) -> Result<Tensor> {
    let column = Tensor::arange(0, like.dim(1)? as u32, like.device())?;
    column
        .unsqueeze(0)?
        .broadcast_eq(&index.unsqueeze(1)?)?
        .to_dtype(like.dtype())
}

/// `A^k - alpha log pi_old(a^k | s)`: with the temperature `T + alpha` the softmax of these maximises
/// `E[A] + alpha H(pi) - T KL(pi || pi_old)` (section 5.3).
///
/// # Shapes
/// `advantage` and `log_prob` `[B, K]` to `[B, K]`.
///
/// # Errors
/// On a shape mismatch.
pub fn entropy_scores(
    advantage: &Tensor,
    log_prob: &Tensor,
    alpha: impl Into<Scalar>,
) -> Result<Tensor> {
    advantage - alpha.into().times(log_prob)?
}

/// The temperature at which the softmax of `scores` has a mean effective sample size of `target K`, by bisection of its
/// logarithm; an end of `bounds` where the target is out of reach.
///
/// # Shapes
/// `scores` `[B, K]`.
///
/// # Errors
/// If the device cannot be read.
pub fn solve_temperature(scores: &Tensor, target: f64, bounds: Bounds) -> Result<f64> {
    let rows = scores
        .to_device(&Device::Cpu)?
        .to_dtype(DType::F64)?
        .to_vec2::<f64>()?;
    let (mut low, mut high) = bounds.logs();
    for _ in 0..HALVINGS {
        let middle = 0.5 * (low + high);
        if mean_ess_fraction(&rows, middle.exp()) < target {
            low = middle;
        } else {
            high = middle;
        }
    }
    Ok((0.5 * (low + high)).exp())
}

fn mean_ess_fraction(rows: &[Vec<f64>], temperature: f64) -> f64 {
    let sum: f64 = rows.iter().map(|row| ess_fraction(row, temperature)).sum();
    sum / rows.len().max(1) as f64
}

/// `(sum w)^2 / (K sum w^2)` with `w = exp(score / T)`.
fn ess_fraction(scores: &[f64], temperature: f64) -> f64 {
    let top = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let odds = scores
        .iter()
        .map(|score| ((score - top) / temperature).exp());
    let (sum, squares) = odds.fold((0.0, 0.0), |(s, q), w| (s + w, q + w * w));
    sum * sum / (squares * scores.len() as f64)
}
