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
