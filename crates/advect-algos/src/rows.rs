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

/// How the squares of a vector's coordinates become one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Coordinates {
    /// Mean over `d`.
    Mean,
    /// Sum over `d`: the squared norm.
    Sum,
}

/// `mean_B sum_k w_k |v_bk - target_bk|^2`, targets and weights constant, `|.|^2` the mean or the sum over coordinates.
///
/// # Shapes
/// `v` and `target` `[B K, d]`, `weights` `[B, K]` to a scalar.
///
/// # Errors
/// On a shape mismatch.
pub fn weighted_rows_loss(
    v: &Tensor,
    target: &Tensor,
    weights: &Tensor,
    coordinates: Coordinates,
) -> Result<Tensor> {
    let squares = (v - target.detach())?.sqr()?;
    let per_row = match coordinates {
        Coordinates::Mean => squares.mean(1)?,
        Coordinates::Sum => squares.sum(1)?,
    };
    let rows = weights.dim(0)? as f64;
    (per_row * weights.detach().flatten_all()?)?.sum_all()? / rows
}
