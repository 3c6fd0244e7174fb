//! Means of tensors from all over the device into one buffer.

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::cudarc::driver::{DeviceRepr, LaunchConfig};
use candle_core::{CpuStorage, CudaStorage, DType, InplaceOp1, Layout, Result, Tensor};

use super::{OPTIM, address, count, elements, launch};
use crate::graph::{Place, Position, place};
use crate::params::contiguous;

/// Tensors of one launch (`optim.cu`).
const MOST: usize = 32;

/// Where tensors lie, how long they are, and which of them are f64 (a bit each).
#[repr(C)]
#[derive(Clone, Copy)]
struct Tensors {
    pointers: [u64; MOST],
    lengths: [u32; MOST],
    doubles: u32,
}

// SAFETY: integers in C's layout, as the kernel declares them.
unsafe impl DeviceRepr for Tensors {}

/// The means of tensors come to the places from `first` on of the ring `values`.
///
/// # Errors
/// If a tensor is not f32 or f64, not contiguous, or not on the device.
pub(crate) fn gather(values: &Tensor, first: Position, tensors: &[&Tensor]) -> Result<()> {
    let first = place(first)?;
    for (i, tensors) in tensors.chunks(MOST).enumerate() {
        let (first, len) = (first.behind((i * MOST) as u64), tensors.len());
        let tensors = gathered(tensors)?;
        values.inplace_op1(&Gather {
            first,
            len,
            tensors,
        })?;
    }
    Ok(())
}

fn gathered(tensors: &[&Tensor]) -> Result<Tensors> {
    let mut gathered = Tensors {
        pointers: [0; MOST],
        lengths: [0; MOST],
        doubles: 0,
    };
    for (i, tensor) in tensors.iter().enumerate() {
        contiguous(tensor.layout())?;
        gathered.pointers[i] = address(tensor)?;
        gathered.lengths[i] = count(tensor.elem_count())?;
        gathered.doubles |= u32::from(tensor.dtype() == DType::F64) << i;
    }
    Ok(gathered)
}

struct Gather {
    first: Place,
    len: usize,
    tensors: Tensors,
}

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
        let room = count(layout.shape().elem_count())?;
        let blocks = LaunchConfig {
            grid_dim: (count(self.len)?, 1, 1),
            ..elements(1)
        };
        let out = out.as_cuda_slice_mut::<f64>()?;
        launch!(device, OPTIM, "gather_means", blocks; out, &room, &self.first, &self.tensors);
        Ok(())
    }
}
