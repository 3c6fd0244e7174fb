//! Moving averages of several buffers in one launch.

use candle_core::cuda_backend::cudarc::driver::DeviceRepr;
use candle_core::{Result, Tensor};

use super::{OPTIM, address, count, elements, launch};
use crate::params::contiguous;

/// Buffers of one launch (`optim.cu`).
const MOST: usize = 4;

/// Averages, what they follow, and where the next buffer's numbers begin.
#[repr(C)]
#[derive(Clone, Copy)]
struct Pairs {
    targets: [u64; MOST],
    sources: [u64; MOST],
    ends: [u32; MOST],
}

// SAFETY: addresses and numbers in C's layout, as the kernel declares them.
unsafe impl DeviceRepr for Pairs {}

/// `target <- (1 - tau) target + tau source` of pairs of one shape each.
///
/// # Errors
/// If one is not f32, contiguous and on the device.
pub(crate) fn lerp(pairs: &[[&Tensor; 2]], tau: f32) -> Result<()> {
    for pairs in pairs.chunks(MOST) {
        let (mut all, mut n) = (
            Pairs {
                targets: [0; MOST],
                sources: [0; MOST],
                ends: [u32::MAX; MOST],
            },
            0,
        );
        for (i, [target, source]) in pairs.iter().enumerate() {
            contiguous(target.layout())?;
            contiguous(source.layout())?;
            all.targets[i] = address(target)?;
            all.sources[i] = address(source)?;
            n += target.elem_count();
            all.ends[i] = count(n)?;
        }
        let (device, n) = (pairs[0][0].device().as_cuda_device()?, count(n)?);
        launch!(device, OPTIM, "lerp_towards", elements(n); &all, &tau, &n);
    }
    Ok(())
}
