//! The draws on a CUDA device.

use candle_core::backend::BackendStorage;
use candle_core::{CudaStorage, Layout, Result, Shape, Tensor};

use super::Squashed;
use crate::cuda::{Module, address, buffer, count, elements, launch, view};

const SQUASHED: Module = Module {
    name: "advect_squashed",
    ptx: include_str!(concat!(env!("OUT_DIR"), "/squashed.ptx")),
};

type Operand<'a> = (&'a CudaStorage, &'a Layout);
type Output = Result<(CudaStorage, Shape)>;

/// Actions `[B, d]` and, behind them, log-densities `[B]`.
pub(super) fn sample(of: Squashed, head: Operand<'_>, eps: Operand<'_>) -> Output {
    let (device, (rows, d)) = (head.0.device().clone(), eps.1.shape().dims2()?);
    let (head, noise) = (view(head.0, head.1)?, view(eps.0, eps.1)?);
    let len = rows * (d + 1);
    let mut out = buffer(&device, len)?;
    let ((low, high), d, rows) = (of.log_std, count(d)?, count(rows)?);
    launch!(device, SQUASHED, "squashed_sample", elements(rows);
        &head, &noise, &mut out, &low, &high, &d, &rows);
    Ok((CudaStorage::wrap_cuda_slice(out, device), len.into()))
}

pub(super) fn gradient(
    of: Squashed,
    head: Operand<'_>,
    eps: Operand<'_>,
    action: Operand<'_>,
    log_prob: &Tensor,
) -> Output {
    let (device, d) = (head.0.device().clone(), count(eps.1.dims()[1])?);
    let shape = head.1.shape().clone();
    let (head, noise) = (view(head.0, head.1)?, view(eps.0, eps.1)?);
    let (action, log_prob) = (view(action.0, action.1)?, address(log_prob)?);
    let mut out = buffer(&device, shape.elem_count())?;
    let ((low, high), n) = (of.log_std, count(noise.len())?);
    launch!(device, SQUASHED, "squashed_gradient", elements(n);
        &head, &noise, &action, &log_prob, &mut out, &low, &high, &d, &n);
    Ok((CudaStorage::wrap_cuda_slice(out, device), shape))
}
