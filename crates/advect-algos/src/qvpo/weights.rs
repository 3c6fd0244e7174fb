//! How much a generated action and a uniform one count in the policy's loss.

use advect_kernels::scalars::Scalar;
use candle_core::{D, Result, Tensor};

/// `omega = max(q_best - V, 0)` with `V` the mean over the candidates: the advantage of the best one, on the raw scale of `Q`.
///
/// # Shapes
/// `q` `[B, n]` to `[B]`.
///
/// # Errors
/// If the device fails.
///
/// ```
/// use candle_core::{Device, Tensor};
/// let q = Tensor::new(&[[1f32, 4.0, 1.0], [2.0, 2.0, 2.0]], &Device::Cpu)?;
/// assert_eq!(advect_algos::qvpo::weights::advantage(&q)?.to_vec1::<f32>()?, [2.0, 0.0]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn advantage(q: &Tensor) -> Result<Tensor> {
    (q.max(D::Minus1)? - q.mean(D::Minus1)?)?.relu()
}

/// `[omega, alpha_e omega, .., alpha_e omega]` of every state: the best action, then `m` uniform ones.
///
/// # Shapes
/// `omega` `[B]` to `[B, 1 + m]`.
///
/// # Errors
/// If the device fails.
pub fn of_rows(omega: &Tensor, entropy_coef: impl Into<Scalar>, m: usize) -> Result<Tensor> {
    let best = omega.unsqueeze(1)?;
    let uniform = entropy_coef.into().times(&best)?.repeat((1, m))?;
    Tensor::cat(&[best, uniform], 1)
}
