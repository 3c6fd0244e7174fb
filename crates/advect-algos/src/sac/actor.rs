//! The actor's loss.

use candle_core::{Result, Tensor};

/// `mean_b (alpha log pi(a | s) - min Q(s, a))` with `a` reparameterised.
///
/// # Shapes
/// `log_prob` and `q` `[B]` to a scalar.
///
/// # Errors
/// On a shape mismatch.
pub fn loss(log_prob: &Tensor, q: &Tensor, alpha: f64) -> Result<Tensor> {
    ((log_prob * alpha)? - q)?.mean_all()
}
