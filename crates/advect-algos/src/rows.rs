//! One row per candidate of a state.

use candle_core::{Result, Tensor};

/// Every row `k` times, one after the other: `[B, ..]` to `[B k, ..]`.
///
/// # Errors
/// If the device fails.
pub fn repeat_rows(x: &Tensor, k: usize) -> Result<Tensor> {
    let mut shape = x.dims().to_vec();
    shape.insert(1, k);
    x.unsqueeze(1)?.broadcast_as(shape)?.flatten(0, 1)
}

/// `mean_(B, d) sum_k w_k (v_bk - target_bk)^2`, targets constant.
///
/// # Shapes
/// `v` and `target` `[B K, d]`, `weights` `[B, K]` to a scalar.
///
/// # Errors
/// On a shape mismatch.
pub fn weighted_rows_loss(v: &Tensor, target: &Tensor, weights: &Tensor) -> Result<Tensor> {
    let per_row = (v - target.detach())?.sqr()?.mean(1)?;
    let rows = weights.dim(0)? as f64;
    (per_row * weights.flatten_all()?)?.sum_all()? / rows
}
