//! Means of tensors from all over the device into one buffer.

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::cudarc::driver::{DeviceRepr, LaunchConfig};
use candle_core::{CpuStorage, CudaStorage, DType, InplaceOp1, Layout, Result, Tensor};

use super::{OPTIM, address, count, elements, launch};
use crate::params::contiguous;

/// Tensors of one launch (`optim.cu`).
const MOST: usize = 32;

/// Where tensors lie, how long they are, and which of them are f64 (a bit each).
#[repr(C)]
#[derive(Clone, Copy)]
struct Places {
    pointers: [u64; MOST],
    lengths: [u32; MOST],
    doubles: u32,
}

// SAFETY: integers in C's layout, as the kernel declares them.
unsafe impl DeviceRepr for Places {}

/// `values[first..]` are the means of tensors.
///
/// # Errors
/// If a tensor is not f32 or f64, not contiguous, or not on the device.
pub(crate) fn gather(values: &Tensor, first: usize, tensors: &[&Tensor]) -> Result<()> {
    for (i, tensors) in tensors.chunks(MOST).enumerate() {
        let first = first + i * MOST;
        let out = values.narrow(0, first, tensors.len())?;
        out.inplace_op1(&Gather(places(tensors)?))?;
    }
    Ok(())
}

fn places(tensors: &[&Tensor]) -> Result<Places> {
    let mut places = Places {
        pointers: [0; MOST],
        lengths: [0; MOST],
        doubles: 0,
    };
    for (i, tensor) in tensors.iter().enumerate() {
        contiguous(tensor.layout())?;
        places.pointers[i] = address(tensor)?;
        places.lengths[i] = count(tensor.elem_count())?;
        places.doubles |= u32::from(tensor.dtype() == DType::F64) << i;
    }
    Ok(places)
}

struct Gather(Places);

impl InplaceOp1 for Gather {
    fn name(&self) -> &'static str {
        "gather-means"
    }

    fn cpu_fwd(&self, _: &mut CpuStorage, _: &Layout) -> Result<()> {
        let problem = "a host reads its scalars";
        Err(candle_core::Error::Msg(problem.into()))
    }

    fn cuda_fwd(&self, out: &mut CudaStorage, layout: &Layout) -> Result<()> {
        let device = out.device().clone();
        let (first, len) = (layout.start_offset(), layout.shape().elem_count());
        let blocks = LaunchConfig {
            grid_dim: (count(len)?, 1, 1),
            ..elements(1)
        };
        let out = &mut out
            .as_cuda_slice_mut::<f64>()?
            .slice_mut(first..first + len);
        launch!(device, OPTIM, "gather_means", blocks; out, &self.0);
        Ok(())
    }
}
