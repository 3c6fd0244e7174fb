//! The draws on a CUDA device.

use candle_core::backend::BackendStorage;
use candle_core::{CudaStorage, Layout, Result, Shape};

use super::{Draw, What};
use crate::cuda::{Module, buffer, count, elements, launch, view};

const SQUASHED: Module = Module {
    name: "advect_squashed",
    ptx: include_str!(concat!(env!("OUT_DIR"), "/squashed.ptx")),
};

type Operand<'a> = (&'a CudaStorage, &'a Layout);

pub(super) fn draw(op: Draw, head: Operand<'_>, eps: Operand<'_>) -> Result<(CudaStorage, Shape)> {
    let (device, d) = (head.0.device().clone(), count(eps.1.dims()[1])?);
    let (head, noise) = (view(head.0, head.1)?, view(eps.0, eps.1)?);
    let shape = op.shape(eps.1);
    let mut out = buffer(&device, shape.elem_count())?;
    let ((low, high), n) = (op.log_std, count(shape.elem_count())?);
    match op.what {
        What::Action => launch!(device, SQUASHED, "squashed_action", elements(n);
            &head, &noise, &mut out, &low, &high, &d, &n),
        What::LogProb => launch!(device, SQUASHED, "squashed_log_prob", elements(n);
            &head, &noise, &mut out, &low, &high, &d, &n),
    }
    Ok((CudaStorage::wrap_cuda_slice(out, device), shape))
}

pub(super) fn derivative(
    op: Draw,
    head: Operand<'_>,
    eps: Operand<'_>,
    upstream: Operand<'_>,
) -> Result<(CudaStorage, Shape)> {
    let (device, d) = (head.0.device().clone(), count(eps.1.dims()[1])?);
    let shape = head.1.shape().clone();
    let (head, noise) = (view(head.0, head.1)?, view(eps.0, eps.1)?);
    let upstream = view(upstream.0, upstream.1)?;
    let mut out = buffer(&device, shape.elem_count())?;
    let ((low, high), n) = (op.log_std, count(noise.len())?);
    let of_action = i32::from(op.what == What::Action);
    launch!(device, SQUASHED, "squashed_derivative", elements(n);
        &head, &noise, &upstream, &mut out, &low, &high, &of_action, &d, &n);
    Ok((CudaStorage::wrap_cuda_slice(out, device), shape))
}
