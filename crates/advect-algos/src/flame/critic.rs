//! The value in the critic's target (flame.md eq. 1 and section 5.1); target and loss are
//! [`td_target`](advect_rl::critic::td_target) and [`td_loss`](advect_rl::critic::td_loss).

use advect_kernels::scalars::Scalar;
use candle_core::{Result, Tensor};

use super::config::TdEntropy;

/// `V' = Q' + s alpha H'` with `s = 0`, `+1` or `-1`.
///
/// # Shapes
/// `q_next` and `entropy` `[B]` to `[B]`.
///
/// # Errors
/// On a shape mismatch.
pub fn soft_value(
    q_next: &Tensor,
    entropy: Option<&Tensor>,
    alpha: impl Into<Scalar>,
    mode: TdEntropy,
) -> Result<Tensor> {
    let alpha = alpha.into();
    match (mode, entropy) {
        (TdEntropy::PlusAlphaH, Some(entropy)) => q_next + alpha.times(entropy)?,
        (TdEntropy::MinusAlphaH, Some(entropy)) => q_next - alpha.times(entropy)?,
        (TdEntropy::Omit, _) => Ok(q_next.clone()),
        (_, None) => Err(candle_core::Error::Msg(
            "td_entropy needs an entropy estimate of the next state".into(),
        )),
    }
}
