//! The soft value in the critic's target.

use candle_core::{Result, Tensor};

/// `V' = Q' - alpha log pi(a' | s')`.
///
/// # Shapes
/// `q_next` and `next_log_prob` `[B]` to `[B]`.
///
/// # Errors
/// On a shape mismatch.
pub fn soft_value(q_next: &Tensor, next_log_prob: &Tensor, alpha: f64) -> Result<Tensor> {
    q_next - (next_log_prob * alpha)?
}
