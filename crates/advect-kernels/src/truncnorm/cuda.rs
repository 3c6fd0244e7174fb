//! Proposals on a CUDA device. A coefficient or an action that is not finite gives NaN there, which the next metric shows.

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::cudarc::driver::CudaView;
use candle_core::{CpuStorage, CudaStorage, DType, InplaceOp1, Layout, Result, Storage, Tensor};

use crate::cuda::{Module, count, elements, launch, view, view_mut};
use crate::params::contiguous;

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
    let op = Propose {
        z: z.to_dtype(DType::F32)?.contiguous()?,
        c_a: c_a.to_dtype(DType::F64)?.contiguous()?,
        c_eps: c_eps.to_dtype(DType::F64)?.contiguous()?,
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

struct Propose {
    z: Tensor,
    c_a: Tensor,
    c_eps: Tensor,
    levels: Tensor,
}

/// What is behind a tensor of the device.
fn on_device(storage: &Storage) -> Result<&CudaStorage> {
    match storage {
        Storage::Cuda(storage) => Ok(storage),
        _ => Err(candle_core::Error::Msg(
            "proposals of a device from a tensor of the host".into(),
        )),
    }
}

/// The contiguous f64 values behind a tensor.
fn doubles<'a>(storage: &'a Storage, layout: &Layout) -> Result<CudaView<'a, f64>> {
    let (start, end) = contiguous(layout)?;
    Ok(on_device(storage)?
        .as_cuda_slice::<f64>()?
        .slice(start..end))
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
        let [z, c_a, c_eps, levels] =
            [&self.z, &self.c_a, &self.c_eps, &self.levels].map(Tensor::storage_and_layout);
        let (c_a, c_eps) = (doubles(&c_a.0, c_a.1)?, doubles(&c_eps.0, c_eps.1)?);
        let (z, levels) = (
            view(on_device(&z.0)?, z.1)?,
            view(on_device(&levels.0)?, levels.1)?,
        );
        launch!(device, TRUNCNORM, "propose", elements(n);
            &z, &c_a, &c_eps, &levels, &mut out, &k, &d, &n);
        Ok(())
    }
}
