//! The reductions on a CUDA device.

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::cudarc::driver::LaunchConfig;
use candle_core::{CudaStorage, Layout, Result, Shape};

use crate::cuda::{Buffer, Module, buffer, count, elements, launch, view};

const ENSEMBLE: Module = Module {
    name: "advect_ensemble",
    ptx: include_str!(concat!(env!("OUT_DIR"), "/ensemble.ptx")),
};

/// The block that sums (`ensemble.cu`).
const SUM: LaunchConfig = LaunchConfig {
    grid_dim: (1, 1, 1),
    block_dim: (256, 1, 1),
    shared_mem_bytes: 0,
};

type Operand<'a> = (&'a CudaStorage, &'a Layout);
type Output = Result<(CudaStorage, Shape)>;

/// Members and columns.
fn sizes(layout: &Layout) -> Result<(u32, u32)> {
    Ok((count(layout.dims()[0])?, count(layout.dims()[1])?))
}

fn output(out: Buffer, like: &CudaStorage, shape: impl Into<Shape>) -> Output {
    let out = CudaStorage::wrap_cuda_slice(out, like.device().clone());
    Ok((out, shape.into()))
}

pub(super) fn minimum(x: &CudaStorage, layout: &Layout) -> Output {
    let (device, (members, columns)) = (x.device(), sizes(layout)?);
    let (values, mut out) = (view(x, layout)?, buffer(device, layout.dims()[1])?);
    launch!(device, ENSEMBLE, "ensemble_minimum", elements(columns);
        &values, &mut out, &members, &columns);
    output(out, x, layout.dims()[1])
}

pub(super) fn routed((x, layout): Operand<'_>, upstream: Operand<'_>) -> Output {
    let (device, (members, columns)) = (x.device(), sizes(layout)?);
    let (values, upstream) = (view(x, layout)?, view(upstream.0, upstream.1)?);
    let mut out = buffer(device, values.len())?;
    launch!(device, ENSEMBLE, "ensemble_routed", elements(columns);
        &values, &upstream, &mut out, &members, &columns);
    output(out, x, layout.shape())
}

pub(super) fn squared_error((x, layout): Operand<'_>, y: Operand<'_>) -> Output {
    let device = x.device();
    let (values, targets) = (view(x, layout)?, view(y.0, y.1)?);
    let columns = count(targets.len())?;
    let members = count(values.len())? / columns;
    let mut out = buffer(device, 1)?;
    launch!(device, ENSEMBLE, "ensemble_squared_error", SUM;
        &values, &targets, &mut out, &members, &columns);
    output(out, x, ())
}

pub(super) fn error((x, layout): Operand<'_>, y: Operand<'_>, upstream: Operand<'_>) -> Output {
    let device = x.device();
    let (values, targets) = (view(x, layout)?, view(y.0, y.1)?);
    let upstream = view(upstream.0, upstream.1)?;
    let mut out = buffer(device, values.len())?;
    let (n, columns) = (count(values.len())?, count(targets.len())?);
    launch!(device, ENSEMBLE, "ensemble_error", elements(n);
        &values, &targets, &upstream, &mut out, &columns, &n);
    output(out, x, layout.shape())
}

pub(super) fn squared_error_with_gradient((x, layout): Operand<'_>, y: Operand<'_>) -> Output {
    let (device, (members, columns)) = (x.device(), sizes(layout)?);
    let (values, targets) = (view(x, layout)?, view(y.0, y.1)?);
    let len = values.len() + 1;
    let mut both = buffer(device, len)?;
    launch!(device, ENSEMBLE, "ensemble_error_with_gradient", SUM;
        &values, &targets, &mut both, &members, &columns);
    output(both, x, len)
}

pub(super) fn pessimistic(
    (x, layout): Operand<'_>,
    penalty: Operand<'_>,
    alpha: Operand<'_>,
) -> Output {
    let (device, (members, columns)) = (x.device(), sizes(layout)?);
    let (values, penalty) = (view(x, layout)?, view(penalty.0, penalty.1)?);
    let alpha = view(alpha.0, alpha.1)?;
    let len = values.len() + 1 + penalty.len();
    let mut both = buffer(device, len)?;
    launch!(device, ENSEMBLE, "ensemble_pessimistic", SUM;
        &values, &penalty, &alpha, &mut both, &members, &columns);
    output(both, x, len)
}
