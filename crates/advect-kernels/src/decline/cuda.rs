//! The same on a CUDA device.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CudaStorage, DType, Device, InplaceOp1, Layout, Result, Tensor};

use super::Decline;
use crate::cuda::{Module, elements, launch, view_mut};
use crate::graph::{Place, Position, place};

const DECLINE: Module = Module {
    name: "advect_decline",
    ptx: include_str!(concat!(env!("OUT_DIR"), "/decline.ptx")),
};

/// The value `[1]` at that count of updates.
pub(super) fn at(decline: &Decline, updates: Position, device: &Device) -> Result<Tensor> {
    // SAFETY: the kernel writes the value.
    #[allow(unsafe_code)]
    let out = unsafe { Tensor::empty(1, DType::F32, device) }?;
    let updates = place(updates)?;
    out.inplace_op1(&At {
        decline: *decline,
        updates,
    })?;
    Ok(out)
}

struct At {
    decline: Decline,
    updates: Place,
}

impl InplaceOp1 for At {
    fn name(&self) -> &'static str {
        "decline"
    }

    fn cpu_fwd(&self, _: &mut CpuStorage, _: &Layout) -> Result<()> {
        let problem = "a host counts its updates itself";
        Err(candle_core::Error::Msg(problem.into()))
    }

    fn cuda_fwd(&self, out: &mut CudaStorage, layout: &Layout) -> Result<()> {
        let device = out.device().clone();
        let Decline {
            high,
            low,
            total,
            first,
            every,
            per,
        } = self.decline;
        let (total, per) = (total as f64, per.max(1));
        let mut out = view_mut(out, layout)?;
        launch!(device, DECLINE, "decline", elements(1);
            &mut out, &self.updates, &high, &low, &total, &first, &every, &per);
        Ok(())
    }
}
