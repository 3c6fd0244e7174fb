//! Matrices side by side.

#[cfg(feature = "cuda")]
use candle_core::{CpuStorage, CudaStorage, CustomOp2, Layout, Shape};
use candle_core::{D, Result, Tensor};

/// `[a b]`, without gradient; on a CUDA device by one kernel.
///
/// # Shapes
/// `a` `[B, m]`, `b` `[B, n]`, f32, to `[B, m + n]`.
///
/// # Errors
/// On a shape mismatch.
pub fn side_by_side(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let (a, b) = (a.detach(), b.detach());
    #[cfg(feature = "cuda")]
    if a.device().is_cuda() && a.dims2()?.0 == b.dims2()?.0 {
        return a
            .contiguous()?
            .apply_op2_no_bwd(&b.contiguous()?, &SideBySide);
    }
    Tensor::cat(&[&a, &b], D::Minus1)
}

#[cfg(feature = "cuda")]
struct SideBySide;

#[cfg(feature = "cuda")]
impl CustomOp2 for SideBySide {
    fn name(&self) -> &'static str {
        "side-by-side"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let problem = "a host concatenates by candle";
        Err(candle_core::Error::Msg(problem.into()))
    }

    fn cuda_fwd(
        &self,
        a: &CudaStorage,
        a_layout: &Layout,
        b: &CudaStorage,
        b_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        crate::dense::cuda_side_by_side((a, a_layout), (b, b_layout))
    }
}
