//! Checks of shapes, with messages that name operation and tensor.

use candle_core::{DType, Result, Tensor};

use crate::error::shape_error;

/// Refuses a tensor that is not f32 or has another last axis.
pub(crate) fn expect_last(
    op: &'static str,
    name: &'static str,
    tensor: &Tensor,
    width: usize,
) -> Result<()> {
    if tensor.dims().last() == Some(&width) && tensor.dtype() == DType::F32 {
        return Ok(());
    }
    let expected = format!("f32 [.., {width}] (dtype here: {:?})", tensor.dtype());
    Err(shape_error(op, name, tensor.dims(), expected))
}

/// Refuses an input that is not `[B, inputs]` or a tangent of another shape.
pub(crate) fn expect_tangent(
    op: &'static str,
    x: &Tensor,
    tangent: &Tensor,
    inputs: usize,
) -> Result<()> {
    expect_last(op, "x", x, inputs)?;
    if x.rank() == 2 && tangent.dims() == x.dims() {
        return Ok(());
    }
    let expected = format!("the shape of x, [B, {inputs}]; x is {:?}", x.dims());
    Err(shape_error(op, "tangent", tangent.dims(), expected))
}

/// Refuses candidates `own` and a `context` that do not make up rows of `inputs` columns with `own` at `slot`.
pub(crate) fn expect_candidates(
    op: &'static str,
    context: &Tensor,
    own: &Tensor,
    slot: usize,
    inputs: usize,
) -> Result<()> {
    let &[states, _, width] = own.dims() else {
        return Err(shape_error(op, "own", own.dims(), "[B, K, d]"));
    };
    let shared = inputs.saturating_sub(width);
    if context.dims() == [states, shared] && slot <= shared && width <= inputs {
        return Ok(());
    }
    let expected = format!("[{states}, {shared}] with slot <= {shared}, slot is {slot}");
    Err(shape_error(op, "context", context.dims(), expected))
}
