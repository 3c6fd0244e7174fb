//! The sums on a CUDA device.

use candle_core::backend::BackendStorage;
use candle_core::{CudaStorage, Layout, Result, Shape};

use crate::cuda::{Module, buffer, count, elements, launch, view};

const POINTWISE: Module = Module {
    name: "advect_pointwise",
    ptx: include_str!(concat!(env!("OUT_DIR"), "/pointwise.ptx")),
};

type Operand<'a> = (&'a CudaStorage, &'a Layout);
type Output = Result<(CudaStorage, Shape)>;

pub(super) fn minus_scaled(x: Operand<'_>, y: Operand<'_>, factor: Operand<'_>) -> Output {
    let (device, shape) = (x.0.device().clone(), x.1.shape().clone());
    let (x, y) = (view(x.0, x.1)?, view(y.0, y.1)?);
    let factor = view(factor.0, factor.1)?;
    let (mut out, n) = (buffer(&device, x.len())?, count(x.len())?);
    launch!(device, POINTWISE, "minus_scaled", elements(n); &x, &y, &factor, &mut out, &n);
    Ok((CudaStorage::wrap_cuda_slice(out, device), shape))
}

pub(super) fn gated_sum(
    x: Operand<'_>,
    [gate, y]: [Operand<'_>; 2],
    [scale, gain]: [f32; 2],
) -> Output {
    let (device, shape) = (x.0.device().clone(), x.1.shape().clone());
    let x = view(x.0, x.1)?;
    let (gate, y) = (view(gate.0, gate.1)?, view(y.0, y.1)?);
    let (mut out, n) = (buffer(&device, x.len())?, count(x.len())?);
    launch!(device, POINTWISE, "gated_sum", elements(n);
        &x, &gate, &y, &mut out, &scale, &gain, &n);
    Ok((CudaStorage::wrap_cuda_slice(out, device), shape))
}
