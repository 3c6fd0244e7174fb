//! The tracked tangent as a candle operation.

use std::sync::Mutex;

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape, Tensor};

use super::{Mlp, tracked_tangent};
use crate::dense::net;
#[cfg(feature = "cuda")]
use crate::dense::{CudaTrackedSaved, Fused, cuda_ops};
use crate::params::f32_slice;

/// What a forward pass kept, where it ran.
pub(super) enum Kept {
    Cpu(tracked_tangent::Saved),
    #[cfg(feature = "cuda")]
    Cuda(CudaTrackedSaved),
}

/// Outputs and tangents with gradients: the input is `[2, rows, in]`, the output `[2, rows, out]`.
pub(super) struct TrackedJvpOp {
    pub mlp: Mlp,
    pub saved: Mutex<Option<Kept>>,
}

impl CustomOp2 for TrackedJvpOp {
    fn name(&self) -> &'static str {
        "mlp-jvp-tracked"
    }

    fn cpu_fwd(
        &self,
        p: &CpuStorage,
        p_l: &Layout,
        x: &CpuStorage,
        x_l: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let net = net(&self.mlp, p, p_l)?;
        let (rows, outputs) = (x_l.dims()[1], net.output_dim());
        let mut both = vec![0.0; 2 * rows * outputs];
        let saved = tracked_tangent::forward(&net, f32_slice(x, x_l)?, rows, &mut both);
        if let Ok(mut slot) = self.saved.lock() {
            *slot = Some(Kept::Cpu(saved));
        }
        Ok((CpuStorage::F32(both), (2, rows, outputs).into()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        p: &CudaStorage,
        p_l: &Layout,
        x: &CudaStorage,
        x_l: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let program = self.mlp.program();
        let (both, shape, saved) = cuda_ops::tracked_forward(&program, (p, p_l), (x, x_l))?;
        if let Ok(mut slot) = self.saved.lock() {
            *slot = Some(Kept::Cuda(saved));
        }
        Ok((both, shape))
    }

    fn bwd(
        &self,
        p: &Tensor,
        x: &Tensor,
        _y: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let op = TrackedJvpBackward { forward: self };
        let flat = p
            .detach()
            .apply_op3_no_bwd(&x.detach(), &grad.contiguous()?, &op)?;
        let params = flat.narrow(0, 0, p.elem_count())?.reshape(p.shape())?;
        let x = flat
            .narrow(0, p.elem_count(), x.elem_count())?
            .reshape(x.shape())?;
        Ok((Some(params), Some(x)))
    }
}

struct TrackedJvpBackward<'a> {
    forward: &'a TrackedJvpOp,
}

impl CustomOp3 for TrackedJvpBackward<'_> {
    fn name(&self) -> &'static str {
        "mlp-jvp-tracked-backward"
    }

    fn cpu_fwd(
        &self,
        p: &CpuStorage,
        p_l: &Layout,
        x: &CpuStorage,
        x_l: &Layout,
        g: &CpuStorage,
        g_l: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let mlp = &self.forward.mlp;
        let net = net(mlp, p, p_l)?;
        let rows = x_l.dims()[1];
        let saved = self
            .forward
            .saved
            .lock()
            .ok()
            .and_then(|mut slot| slot.take());
        let saved = match saved {
            Some(Kept::Cpu(saved)) => saved,
            _ => {
                let mut both = vec![0.0; 2 * rows * mlp.output_dim()];
                tracked_tangent::forward(&net, f32_slice(x, x_l)?, rows, &mut both)
            }
        };
        let grads = tracked_tangent::backward(&net, rows, &saved, f32_slice(g, g_l)?);
        let flat = [grads.params, grads.x, grads.tangent].concat();
        let len = flat.len();
        Ok((CpuStorage::F32(flat), len.into()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        p: &CudaStorage,
        p_l: &Layout,
        x: &CudaStorage,
        x_l: &Layout,
        g: &CudaStorage,
        g_l: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let kept = self.forward.saved.lock().ok();
        let saved = match kept.and_then(|mut slot| slot.take()) {
            Some(Kept::Cuda(saved)) => Some(saved),
            _ => None,
        };
        let program = self.forward.mlp.program();
        cuda_ops::tracked_backward(&program, (p, p_l), (x, x_l), (g, g_l), saved)
    }
}
