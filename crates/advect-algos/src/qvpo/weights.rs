//! How much a generated action and a uniform one count in the policy's loss.

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

/// `alpha_e = min(max, max(min, max (1 - step / total)))`: the share of `omega` that every uniform action gets.
pub fn entropy_coefficient(step: u64, total: u64, max: f64, min: f64) -> f64 {
    let left = 1.0 - step as f64 / total as f64;
    (max * left).max(min).min(max)
}

/// `[omega, alpha_e omega, .., alpha_e omega]` of every state: the best action, then `m` uniform ones.
///
/// # Shapes
/// `omega` `[B]` to `[B, 1 + m]`.
///
/// # Errors
/// If the device fails.
pub fn of_rows(omega: &Tensor, entropy_coef: f64, m: usize) -> Result<Tensor> {
    let best = omega.unsqueeze(1)?;
    let uniform = (&best * entropy_coef)?.repeat((1, m))?;
    Tensor::cat(&[best, uniform], 1)
}
