//! The features on a CUDA device.

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::cudarc::driver::DeviceRepr;
use candle_core::{CudaStorage, Layout, Result, Shape};

use super::{Features, Order};
use crate::cuda::{Module, buffer, count, elements, launch, view};

const WAVES: Module = Module {
    name: "advect_waves",
    ptx: include_str!(concat!(env!("OUT_DIR"), "/waves.ptx")),
};

/// Frequencies of one launch (`waves.cu`).
const MOST: usize = 128;

#[repr(C)]
#[derive(Clone, Copy)]
struct Frequencies([f64; MOST]);

// SAFETY: numbers in C's layout, as the kernel declares them.
#[allow(unsafe_code)]
unsafe impl DeviceRepr for Frequencies {}

pub(super) fn features(
    op: &Features<'_>,
    t: &CudaStorage,
    layout: &Layout,
) -> Result<(CudaStorage, Shape)> {
    let (device, t) = (t.device().clone(), view(t, layout)?);
    let (rows, width) = (t.len(), op.waves.dim());
    let mut out = buffer(&device, rows * width)?;
    let (half, columns) = (count(op.waves.frequencies.len())?, count(width)?);
    let (scale, derivative) = (op.waves.scale, i32::from(op.order == Order::Derivative));
    for (i, part) in op.waves.frequencies.chunks(MOST).enumerate() {
        let mut frequencies = Frequencies([0.0; MOST]);
        frequencies.0[..part.len()].copy_from_slice(part);
        let (first, len, n) = (
            count(i * MOST)?,
            count(part.len())?,
            count(rows * part.len())?,
        );
        launch!(device, WAVES, "waves", elements(n);
            &t, &mut out, &frequencies, &first, &len, &half, &columns, &scale, &derivative, &n);
    }
    Ok((
        CudaStorage::wrap_cuda_slice(out, device),
        Shape::from((rows, width)),
    ))
}
