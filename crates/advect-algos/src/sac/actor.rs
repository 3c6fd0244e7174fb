//! The actor's loss.

use advect_kernels::scalars::Scalar;
use candle_core::{Result, Tensor};

/// `mean_b (alpha log pi(a | s) - min Q(s, a))` with `a` reparameterised.
///
/// # Shapes
/// `log_prob` and `q` `[B]` to a scalar.
///
/// # Errors
/// On a shape mismatch.
pub fn loss(log_prob: &Tensor, q: &Tensor, alpha: impl Into<Scalar>) -> Result<Tensor> {
    (alpha.into().times(log_prob)? - q)?.mean_all()
}
