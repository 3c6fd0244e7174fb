//! Rows of inputs made on a GPU: candidates, unit tangents, sums over members.

use candle_core::Result;
use candle_core::cuda_backend::CudaDevice;

use super::DENSE;
use crate::cuda::{Buffer, View, buffer, count, elements, launch};

/// The sum over members of `[members, n]`, in their order.
pub(super) fn sum_members(device: &CudaDevice, x: &Buffer, members: usize) -> Result<Buffer> {
    let len = x.len() / members.max(1);
    let (n, members) = (count(len)?, count(members)?);
    let mut out = buffer(device, len)?;
    launch!(device, DENSE, "sum_members", elements(n); x, &mut out, &members, &n);
    Ok(out)
}

/// All candidates as rows: `own [states, per_state, width]` inserted into `context [states, inputs - width]` before column `slot`.
pub(super) fn insert_columns(
    device: &CudaDevice,
    context: &View,
    own: &View,
    (per_state, inputs, slot, width): (usize, usize, usize, usize),
) -> Result<Buffer> {
    let len = own.len() / width.max(1) * inputs;
    let (n, per_state, inputs) = (count(len)?, count(per_state)?, count(inputs)?);
    let (slot, width) = (count(slot)?, count(width)?);
    let mut out = buffer(device, len)?;
    launch!(device, DENSE, "insert_columns", elements(n);
        context, own, &mut out, &per_state, &inputs, &slot, &width, &n);
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
