//! Rows made on a GPU: unit tangents, sums over members.

use candle_core::Result;
use candle_core::cuda_backend::CudaDevice;

use super::DENSE;
use crate::cuda::{Buffer, buffer, count, elements, launch};

/// The sum over members of `[members, n]`, in their order.
pub(super) fn sum_members(device: &CudaDevice, x: &Buffer, members: usize) -> Result<Buffer> {
    let len = x.len() / members.max(1);
    let (n, members) = (count(len)?, count(members)?);
    let mut out = buffer(device, len)?;
    launch!(device, DENSE, "sum_members", elements(n); x, &mut out, &members, &n);
    Ok(out)
}

/// The unit vectors of the columns `slot..slot + width` for each of `rows` rows: `[rows, width, inputs]`.
pub(super) fn unit_tangents(
    device: &CudaDevice,
    rows: usize,
    inputs: usize,
    (slot, width): (usize, usize),
) -> Result<Buffer> {
    let len = rows * width * inputs;
    let (n, inputs) = (count(len)?, count(inputs)?);
    let (slot, width) = (count(slot)?, count(width)?);
    let mut out = buffer(device, len)?;
    launch!(device, DENSE, "unit_tangents", elements(n); &mut out, &inputs, &slot, &width, &n);
    Ok(out)
}
