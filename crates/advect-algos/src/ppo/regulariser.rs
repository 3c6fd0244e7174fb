//! A pull of the policy's mean towards given actions, for algorithms that add one to the loss.

use candle_core::{Result, Tensor};

/// `0.5 mean_(n, d) (mu(s_n) - a_n)^2`, the actions constant; FM-IRL's teacher term (fm_irl.md section 1.5).
///
/// # Shapes
/// `mean` and `act` `[N, d]` to a scalar.
///
/// # Errors
/// On a shape mismatch.
pub fn loss(mean: &Tensor, act: &Tensor) -> Result<Tensor> {
    (mean - act.detach())?.sqr()?.mean_all()? * 0.5
}
