//! The features on a CUDA device.

use candle_core::cuda_backend::CudaDevice;
use candle_core::cuda_backend::cudarc::driver::DeviceRepr;
use candle_core::{Result, Tensor};

use super::Waves;
use crate::cuda::{Module, ViewMut, address, count, elements, filled, launch};

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

/// Times of one launch (`waves.cu`), and the rates at which they move.
const MOST_TIMES: usize = 4;

#[repr(C)]
#[derive(Clone, Copy)]
struct Times {
    values: [u64; MOST_TIMES],
    rates: [f32; MOST_TIMES],
}

// SAFETY: addresses and numbers in C's layout, as the kernel declares them.
#[allow(unsafe_code)]
unsafe impl DeviceRepr for Times {}

/// Of contiguous vectors of one length.
pub(super) fn features(waves: &Waves, times: &[Tensor], rates: Option<&[f64]>) -> Result<Tensor> {
    let (rows, width) = (times[0].elem_count(), waves.dim());
    filled(
        times[0].device(),
        (times.len(), rows, width),
        |device, out| {
            for (i, times) in times.chunks(MOST_TIMES).enumerate() {
                let mut all = Times {
                    values: [0; MOST_TIMES],
                    rates: [0.0; MOST_TIMES],
                };
                for (j, t) in times.iter().enumerate() {
                    all.values[j] = address(t)?;
                    all.rates[j] = rates.map_or(0.0, |rates| rates[i * MOST_TIMES + j] as f32);
                }
                let to = &mut out.slice_mut(i * MOST_TIMES * rows * width..);
                fill(
                    waves,
                    device,
                    &all,
                    (times.len(), rows),
                    rates.is_some(),
                    to,
                )?;
            }
            Ok(())
        },
    )
}

/// Features of at most [`MOST_TIMES`] vectors.
fn fill(
    waves: &Waves,
    device: &CudaDevice,
    times: &Times,
    (vectors, rows): (usize, usize),
    is_derivative: bool,
    out: &mut ViewMut,
) -> Result<()> {
    let [half, width] = [count(waves.frequencies.len())?, count(waves.dim())?];
    let (scale, derivative, per) = (waves.scale, i32::from(is_derivative), count(rows)?);
    for (i, part) in waves.frequencies.chunks(MOST).enumerate() {
        let mut frequencies = Frequencies([0.0; MOST]);
        frequencies.0[..part.len()].copy_from_slice(part);
        let [first, len] = [count(i * MOST)?, count(part.len())?];
        let n = count(vectors * rows * part.len())?;
        launch!(device, WAVES, "waves", elements(n);
            times, &mut *out, &frequencies, &first, &len, &half, &width, &scale, &derivative, &per, &n);
    }
    Ok(())
}
