//! Proposals on a CUDA device. A coefficient or an action that is not finite gives NaN there, which the next metric shows.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CudaStorage, DType, InplaceOp1, Layout, Result, Tensor};

use crate::cuda::{Module, address, count, elements, launch, view_mut};

const TRUNCNORM: Module = Module {
    name: "advect_truncnorm",
    ptx: include_str!(concat!(env!("OUT_DIR"), "/truncnorm.ptx")),
};

/// Actions and noise, both `[B, K, d]`, of tensors whose shapes were checked.
pub(super) fn propose(
    z: &Tensor,
    c_a: &Tensor,
    c_eps: &Tensor,
    u: &Tensor,
) -> Result<(Tensor, Tensor)> {
    let (rows, k, d) = u.dims3()?;
    let doubles = [c_a, c_eps].iter().any(|c| c.dtype() != DType::F32);
    let dtype = if doubles { DType::F64 } else { DType::F32 };
    let op = Propose {
        z: z.to_dtype(DType::F32)?.contiguous()?,
        c_a: c_a.to_dtype(dtype)?.contiguous()?,
        c_eps: c_eps.to_dtype(dtype)?.contiguous()?,
        levels: u.to_dtype(DType::F32)?.contiguous()?,
    };
    // SAFETY: the kernel writes every value.
    #[allow(unsafe_code)]
    let out = unsafe { Tensor::empty((2, rows, k, d), DType::F32, u.device()) }?;
    if out.elem_count() > 0 {
        out.inplace_op1(&op)?;
    }
    Ok((out.get(0)?, out.get(1)?))
}

/// Contiguous inputs; both coefficients are f64, or f32.
struct Propose {
    z: Tensor,
    c_a: Tensor,
    c_eps: Tensor,
    levels: Tensor,
}

impl InplaceOp1 for Propose {
    fn name(&self) -> &'static str {
        "propose"
    }

    fn cpu_fwd(&self, _: &mut CpuStorage, _: &Layout) -> Result<()> {
        let problem = "a host proposes by rows";
        Err(candle_core::Error::Msg(problem.into()))
    }

    fn cuda_fwd(&self, out: &mut CudaStorage, layout: &Layout) -> Result<()> {
        let device = out.device().clone();
        let [_, _, k, d] = *layout.dims() else {
            return Ok(());
        };
        let (k, d, n) = (
            count(k)?,
            count(d)?,
            count(layout.shape().elem_count() / 2)?,
        );
        let mut out = view_mut(out, layout)?;
        let (z, levels) = (address(&self.z)?, address(&self.levels)?);
        let (c_a, c_eps) = (address(&self.c_a)?, address(&self.c_eps)?);
        let doubles = i32::from(self.c_a.dtype() == DType::F64);
        launch!(device, TRUNCNORM, "propose", elements(n);
            &z, &c_a, &c_eps, &levels, &mut out, &doubles, &k, &d, &n);
        Ok(())
    }
}
