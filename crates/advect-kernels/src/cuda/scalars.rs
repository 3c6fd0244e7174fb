//! Scalars from all over the device into one buffer.

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::cudarc::driver::DeviceRepr;
use candle_core::{CpuStorage, CudaStorage, DType, InplaceOp1, Layout, Result, Tensor};

use super::{OPTIM, address, count, elements, launch};

/// Scalars of one launch (`optim.cu`).
const MOST: usize = 32;

/// Where scalars lie, and which of them are f64 (a bit each).
#[repr(C)]
#[derive(Clone, Copy)]
struct Places {
    pointers: [u64; MOST],
    doubles: u32,
}

// SAFETY: integers in C's layout, as the kernel declares them.
unsafe impl DeviceRepr for Places {}

/// `values[first..] = scalars`.
///
/// # Errors
/// If a tensor is no scalar of f32 or f64 on the device.
pub(crate) fn gather(values: &Tensor, first: usize, scalars: &[&Tensor]) -> Result<()> {
    let parts = scalars.chunks(MOST).enumerate();
    for (i, scalars) in parts {
        let first = first + i * MOST;
        let out = values.narrow(0, first, scalars.len())?;
        out.inplace_op1(&Gather(places(scalars)?))?;
    }
    Ok(())
}

fn places(scalars: &[&Tensor]) -> Result<Places> {
    let mut places = Places {
        pointers: [0; MOST],
        doubles: 0,
    };
    for (i, scalar) in scalars.iter().enumerate() {
        if scalar.elem_count() != 1 {
            let problem = format!("{:?} is no scalar", scalar.dims());
            return Err(candle_core::Error::Msg(problem));
        }
        places.pointers[i] = address(scalar)?;
        places.doubles |= u32::from(scalar.dtype() == DType::F64) << i;
    }
    Ok(places)
}

struct Gather(Places);

impl InplaceOp1 for Gather {
    fn name(&self) -> &'static str {
        "gather-scalars"
    }

    fn cpu_fwd(&self, _: &mut CpuStorage, _: &Layout) -> Result<()> {
        let problem = "a host reads its scalars";
        Err(candle_core::Error::Msg(problem.into()))
    }

    fn cuda_fwd(&self, out: &mut CudaStorage, layout: &Layout) -> Result<()> {
        let device = out.device().clone();
        let (first, len) = (layout.start_offset(), layout.shape().elem_count());
        let n = count(len)?;
        let out = &mut out
            .as_cuda_slice_mut::<f64>()?
            .slice_mut(first..first + len);
        launch!(device, OPTIM, "gather_scalars", elements(n); out, &self.0, &n);
        Ok(())
    }
}
