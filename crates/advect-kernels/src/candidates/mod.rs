//! Several candidates per row: the best of them, and their weights.

#[cfg(feature = "cuda")]
mod cuda;

use candle_core::{D, Result, Tensor};

use crate::error::shape_error;
use crate::scalars::Scalar;

/// The candidate with the largest of its members' least scores, the first of equal ones, without gradient; clipped to `bounds` if there
/// are some.
///
/// # Shapes
/// `scores` `[E, B, K]`, `candidates` `[B, K, d]`, f32, to `[B, d]`.
///
/// # Errors
/// On a shape mismatch.
///
/// ```
/// use advect_kernels::candidates::best;
/// use candle_core::{Device, Tensor};
/// let scores = Tensor::new(&[[[1f32, 5.0, 3.0]], [[4.0, 0.0, 2.0]]], &Device::Cpu)?;
/// let candidates = Tensor::new(&[[[10f32], [20.0], [30.0]]], &Device::Cpu)?;
/// assert_eq!(best(&scores, &candidates, None)?.to_vec2::<f32>()?, [[30.0]]);
/// assert_eq!(best(&scores, &candidates, Some([-1.0, 1.0]))?.to_vec2::<f32>()?, [[1.0]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn best(scores: &Tensor, candidates: &Tensor, bounds: Option<[f64; 2]>) -> Result<Tensor> {
    let (rows, k, d) = candidates.dims3()?;
    if scores.rank() != 3 || scores.dims()[1..] != [rows, k] {
        let expected = format!("[E, {rows}, {k}]");
        return Err(shape_error("best", "scores", scores.dims(), expected));
    }
    let (scores, candidates) = (scores.detach(), candidates.detach());
    #[cfg(feature = "cuda")]
    if scores.device().is_cuda() {
        return cuda::best(&scores.contiguous()?, &candidates.contiguous()?, bounds);
    }
    let index = scores.min(0)?.argmax(D::Minus1)?.reshape((rows, 1, 1))?;
    let index = index.broadcast_as((rows, 1, d))?.contiguous()?;
    let best = candidates.contiguous()?.gather(&index, 1)?.squeeze(1)?;
    match bounds {
        Some([low, high]) => best.clamp(low, high),
        None => Ok(best),
    }
}

/// `sum_k w_k (x_k - y_k)` of every row; by one kernel on a CUDA device where nobody wants a gradient.
///
/// # Shapes
/// `weights` `[B, K]`, `x` and `y` `[B, K, d]`, f32, to `[B, d]`.
///
/// # Errors
/// On a shape mismatch.
///
/// ```
/// use advect_kernels::candidates::weighted_difference;
/// use candle_core::{Device, Tensor};
/// let weights = Tensor::new(&[[0.25f32, 0.75]], &Device::Cpu)?;
/// let (x, y) = (Tensor::new(&[[[4f32], [8.0]]], &Device::Cpu)?, Tensor::new(&[[[0f32], [4.0]]], &Device::Cpu)?);
/// assert_eq!(weighted_difference(&weights, &x, &y)?.to_vec2::<f32>()?, [[4.0]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn weighted_difference(weights: &Tensor, x: &Tensor, y: &Tensor) -> Result<Tensor> {
    let (rows, k, _) = x.dims3()?;
    if weights.dims() != [rows, k] {
        let expected = format!("[{rows}, {k}]");
        return Err(shape_error(
            "weighted_difference",
            "weights",
            weights.dims(),
            expected,
        ));
    }
    #[cfg(feature = "cuda")]
    if weights.device().is_cuda() && ![weights, x, y].iter().any(|x| x.track_op()) {
        let (weights, x, y) = (weights.contiguous()?, x.contiguous()?, y.contiguous()?);
        return cuda::weighted_difference(&weights, &x, &y);
    }
    weights.unsqueeze(1)?.matmul(&(x - y)?)?.squeeze(1)
}

/// Effective sample size of every row's weights `1 / sum_k w_k^2`, over `K`, mean over rows; without gradient.
///
/// # Shapes
/// `weights` `[B, K]`, f32, to a scalar.
///
/// # Errors
/// If `weights` is no matrix.
///
/// ```
/// use advect_kernels::candidates::effective_fraction;
/// use candle_core::{Device, Tensor};
/// let weights = Tensor::new(&[[0.5f32, 0.5], [1.0, 0.0]], &Device::Cpu)?;
/// assert_eq!(effective_fraction(&weights)?.to_scalar::<f32>()?, 0.75);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn effective_fraction(weights: &Tensor) -> Result<Tensor> {
    let (_, k) = weights.dims2()?;
    let weights = weights.detach();
    #[cfg(feature = "cuda")]
    if weights.device().is_cuda() {
        return cuda::effective_fraction(&weights.contiguous()?);
    }
    weights.sqr()?.sum(D::Minus1)?.recip()?.mean_all()? / k as f64
}

/// `softmax_k(q / temperature)` of every row, `q` the least of the members' scores; without gradient.
///
/// # Shapes
/// `scores` `[E, B, K]`, or `[B, K]` of one member, f32, to `[B, K]`.
///
/// # Errors
/// If `scores` has other axes.
pub fn softmax(scores: &Tensor, temperature: &Scalar) -> Result<Tensor> {
    let scores = match scores.rank() {
        2 => scores.detach().unsqueeze(0)?,
        _ => scores.detach(),
    };
    scores.dims3()?;
    #[cfg(feature = "cuda")]
    if scores.device().is_cuda() {
        let temperature = temperature.to_tensor(scores.device())?.detach();
        return cuda::softmax(&scores.contiguous()?, &temperature);
    }
    let q = scores.min(0)?;
    let above = q.broadcast_sub(&q.max_keepdim(D::Minus1)?)?;
    let odds = temperature.recip()?.times(&above)?.exp()?;
    odds.broadcast_div(&odds.sum_keepdim(D::Minus1)?)
}
