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

/// Vectors of times of one launch (`waves.cu`).
const MOST_TIMES: usize = 8;

/// Where they lie, at which rates they move, and of which the derivative is wanted (a bit each).
#[repr(C)]
#[derive(Clone, Copy)]
struct Times {
    values: [u64; MOST_TIMES],
    rates: [f32; MOST_TIMES],
    derivatives: u32,
}

// SAFETY: addresses and numbers in C's layout, as the kernel declares them.
#[allow(unsafe_code)]
unsafe impl DeviceRepr for Times {}

impl Times {
    fn of(times: &[Tensor], rates: &[Option<f32>]) -> Result<Self> {
        let mut all = Self {
            values: [0; MOST_TIMES],
            rates: [1.0; MOST_TIMES],
            derivatives: 0,
        };
        for (i, (t, rate)) in times.iter().zip(rates).enumerate() {
            all.values[i] = address(t)?;
            all.rates[i] = rate.unwrap_or(1.0);
            all.derivatives |= u32::from(rate.is_some()) << i;
        }
        Ok(all)
    }
}

/// Of contiguous vectors of one length.
pub(super) fn features(waves: &Waves, times: &[Tensor], rates: &[Option<f32>]) -> Result<Tensor> {
    let (rows, width) = (times[0].elem_count(), waves.dim());
    filled(
        times[0].device(),
        (times.len(), rows, width),
        |device, out| {
            let launches = times.chunks(MOST_TIMES).zip(rates.chunks(MOST_TIMES));
            for (i, (times, rates)) in launches.enumerate() {
                let all = Times::of(times, rates)?;
                let to = &mut out.slice_mut(i * MOST_TIMES * rows * width..);
                fill(waves, device, &all, (times.len(), rows), to)?;
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
    out: &mut ViewMut,
) -> Result<()> {
    let [half, width] = [count(waves.frequencies.len())?, count(waves.dim())?];
    let (scale, per) = (waves.scale, count(rows)?);
    for (i, part) in waves.frequencies.chunks(MOST).enumerate() {
        let mut frequencies = Frequencies([0.0; MOST]);
        frequencies.0[..part.len()].copy_from_slice(part);
        let [first, len] = [count(i * MOST)?, count(part.len())?];
        let n = count(vectors * rows * part.len())?;
        launch!(device, WAVES, "waves", elements(n);
            times, &mut *out, &frequencies, &first, &len, &half, &width, &scale, &per, &n);
    }
    Ok(())
}
