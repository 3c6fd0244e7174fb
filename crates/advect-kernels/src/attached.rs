//! Values whose gradient somebody computes by hand, in candle's graph.

use candle_core::{CpuStorage, CustomOp1, Layout, Result, Shape, Storage, Tensor};
#[cfg(feature = "cuda")]
use candle_core::{CudaStorage, backend::BackendStorage, cuda_backend::WrapErr};

#[cfg(feature = "cuda")]
use crate::cuda::view;
use crate::params::f32_slice;

type Backward = dyn Fn(&Tensor) -> Result<Tensor> + Send + Sync;

/// `y`, f32, as a function of `x`: the gradient in `x` is what `backward` makes of the cotangent of `y`, shaped as `x`.
///
/// # Errors
/// If the device fails.
///
/// ```
/// use advect_kernels::attached;
/// use candle_core::{Device, Tensor, Var};
/// let x = Var::new(&[3f32], &Device::Cpu)?;
/// let y = x.as_detached_tensor().sqr()?;
/// let two_x = (x.as_detached_tensor() * 2.0)?;
/// let y = attached(&x, &y, move |cotangent| cotangent * &two_x)?;
/// let gradients = (y * 5.0)?.backward()?;
/// assert_eq!(gradients.get(&x).map(Tensor::to_vec1::<f32>).transpose()?, Some(vec![30.0]));
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn attached(
    x: &Tensor,
    y: &Tensor,
    backward: impl Fn(&Tensor) -> Result<Tensor> + Send + Sync + 'static,
) -> Result<Tensor> {
    let op = Attached {
        y: y.detach().contiguous()?,
        backward: Box::new(backward),
    };
    x.apply_op1(op)
}

struct Attached {
    y: Tensor,
    backward: Box<Backward>,
}

impl CustomOp1 for Attached {
    fn name(&self) -> &'static str {
        "attached"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        let (storage, layout) = self.y.storage_and_layout();
        match &*storage {
            Storage::Cpu(values) => {
                let values = f32_slice(values, layout)?.to_vec();
                Ok((CpuStorage::F32(values), layout.shape().clone()))
            }
            _ => Err(elsewhere()),
        }
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, _: &CudaStorage, _: &Layout) -> Result<(CudaStorage, Shape)> {
        let (storage, layout) = self.y.storage_and_layout();
        match &*storage {
            Storage::Cuda(values) => {
                let (device, shape) = (values.device().clone(), layout.shape().clone());
                let values = view(values, layout)?;
                let values = device.cuda_stream().clone_dtod(&values).w()?;
                Ok((CudaStorage::wrap_cuda_slice(values, device), shape))
            }
            _ => Err(elsewhere()),
        }
    }

    fn bwd(&self, _: &Tensor, _: &Tensor, cotangent: &Tensor) -> Result<Option<Tensor>> {
        (self.backward)(cotangent).map(Some)
    }
}

fn elsewhere() -> candle_core::Error {
    candle_core::Error::Msg("a value lies on another device than what it is attached to".into())
}
