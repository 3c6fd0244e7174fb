//! Shape checks with messages that name the tensor.

use advect_kernels::KernelError;
use candle_core::{Result, Tensor};

/// A [`KernelError::Shape`] as candle's error.
pub(crate) fn shape_error(
    op: &'static str,
    tensor: &'static str,
    found: &[usize],
    expected: impl Into<String>,
) -> candle_core::Error {
    KernelError::Shape {
        op,
        tensor,
        found: found.to_vec(),
        expected: expected.into(),
    }
    .into()
}

/// Refuses a tensor of another rank.
pub(crate) fn expect_rank(
    op: &'static str,
    name: &'static str,
    x: &Tensor,
    rank: usize,
) -> Result<()> {
    if x.rank() == rank {
        return Ok(());
    }
    Err(shape_error(op, name, x.dims(), format!("{rank} axes")))
}

/// Refuses a tensor of another shape.
pub(crate) fn expect_dims(
    op: &'static str,
    name: &'static str,
    x: &Tensor,
    dims: &[usize],
) -> Result<()> {
    if x.dims() == dims {
        return Ok(());
    }
    Err(shape_error(op, name, x.dims(), format!("{dims:?}")))
}
