//! The same on a CUDA device.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CudaStorage, DType, InplaceOp2, Layout, Result, Tensor};

use crate::cuda::{Module, count, elements, launch, view, view_mut};

const LOGDET: Module = Module {
    name: "advect_logdet",
    ptx: include_str!(concat!(env!("OUT_DIR"), "/logdet.ptx")),
};

/// Of `[B, d, d]`.
pub(super) fn log_abs_det_step(jacobians: &Tensor, h: f64) -> Result<Tensor> {
    let (rows, d, _) = jacobians.dims3()?;
    // SAFETY: the kernel writes every value.
    #[allow(unsafe_code)]
    let out = unsafe { Tensor::empty(rows, DType::F32, jacobians.device()) }?;
    if rows > 0 {
        out.inplace_op2(&jacobians.contiguous()?, &Step { h, d })?;
    }
    Ok(out)
}

struct Step {
    h: f64,
    d: usize,
}

impl InplaceOp2 for Step {
    fn name(&self) -> &'static str {
        "log-abs-det-step"
    }

    fn cpu_fwd(&self, _: &mut CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<()> {
        let problem = "a host eliminates by rows";
        Err(candle_core::Error::Msg(problem.into()))
    }

    fn cuda_fwd(
        &self,
        out: &mut CudaStorage,
        out_layout: &Layout,
        jacobians: &CudaStorage,
        layout: &Layout,
    ) -> Result<()> {
        let device = jacobians.device().clone();
        let (mut out, jacobians) = (view_mut(out, out_layout)?, view(jacobians, layout)?);
        let (d, rows) = (count(self.d)?, count(out.len())?);
        // SAFETY: the kernel writes a row's matrix before it reads it.
        #[allow(unsafe_code)]
        let mut work = unsafe { device.alloc::<f64>(jacobians.len().max(1)) }?;
        launch!(device, LOGDET, "log_abs_det_step", elements(rows);
            &jacobians, &self.h, &mut work, &mut out, &d, &rows);
        Ok(())
    }
}
