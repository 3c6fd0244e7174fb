//! What an ensemble's outputs `[E, B]` are reduced to: their minimum, and their squared error to common targets.

#[cfg(feature = "cuda")]
mod cuda;
mod losses;
#[cfg(test)]
mod tests;

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, CustomOp3, DType, Layout, Result, Shape, Tensor,
};

use crate::error::shape_error;
use crate::params::f32_slice;
use crate::scalars::Scalar;
use losses::{Pessimistic, WithGradient};

/// `min_e x_e` of every column; differentiable, the first of equal members takes the gradient.
///
/// # Shapes
/// `x` `[E, B]`, f32, to `[B]`.
///
/// # Errors
/// If `x` is no matrix of f32 with a row.
///
/// ```
/// use candle_core::{Device, Tensor};
/// let x = Tensor::new(&[[1f32, 5.0], [3.0, 4.0]], &Device::Cpu)?;
/// assert_eq!(advect_kernels::ensemble::minimum(&x)?.to_vec1::<f32>()?, [1.0, 4.0]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn minimum(x: &Tensor) -> Result<Tensor> {
    check(x)?;
    x.contiguous()?.apply_op1(Minimum)
}

/// `sum_e mean_b (x_e - y)^2`, without a factor 1/2; differentiable in `x`, `y` is a constant.
///
/// # Shapes
/// `x` `[E, B]`, `y` `[B]`, f32, to a scalar; or both of one shape, which is one member of all their values.
///
/// # Errors
/// On a shape mismatch.
///
/// ```
/// use candle_core::{Device, Tensor};
/// let x = Tensor::new(&[[1f32, 2.0], [3.0, 4.0]], &Device::Cpu)?;
/// let y = Tensor::new(&[1f32, 1.0], &Device::Cpu)?;
/// assert_eq!(advect_kernels::ensemble::squared_error(&x, &y)?.to_scalar::<f32>()?, 0.5 + 6.5);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn squared_error(x: &Tensor, y: &Tensor) -> Result<Tensor> {
    let (_, y) = check_errors(x, y)?;
    x.contiguous()?.apply_op2(&y, SquaredError)
}

/// [`squared_error`] and its gradient `2 (x_e - y) / B` in one pass.
///
/// # Shapes
/// `x` `[E, B]`, `y` `[B]`, f32, to a scalar and `[E, B]`.
///
/// # Errors
/// On a shape mismatch.
pub fn squared_error_with_gradient(x: &Tensor, y: &Tensor) -> Result<(Tensor, Tensor)> {
    let (x, y) = check_targets(x, y)?;
    split(&x.apply_op2_no_bwd(&y, &WithGradient)?, x.shape())
}

/// A loss and its gradients in the ensemble's outputs and in the penalty.
#[derive(Debug, Clone)]
pub struct PessimisticLoss {
    /// The loss `[]`.
    pub loss: Tensor,
    /// `-1/B` at the member with the minimum, else 0 `[E, B]`.
    pub outputs: Tensor,
    /// `alpha / B` `[B]`.
    pub penalty: Tensor,
}

/// `mean_b (alpha p_b - min_e x_e)` with its gradients.
///
/// # Shapes
/// `x` `[E, B]`, `penalty` `[B]`, f32.
///
/// # Errors
/// On a shape mismatch.
///
/// ```
/// use advect_kernels::ensemble::pessimistic_loss;
/// use candle_core::{Device, Tensor};
/// let x = Tensor::new(&[[1f32, 5.0], [3.0, 4.0]], &Device::Cpu)?;
/// let log_prob = Tensor::new(&[2f32, 4.0], &Device::Cpu)?;
/// let found = pessimistic_loss(&x, &log_prob, &0.5.into())?;
/// assert_eq!(found.loss.to_scalar::<f32>()?, 0.5 * 3.0 - 2.5);
/// assert_eq!(found.outputs.to_vec2::<f32>()?, [[-0.5, 0.0], [0.0, -0.5]]);
/// assert_eq!(found.penalty.to_vec1::<f32>()?, [0.25, 0.25]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn pessimistic_loss(x: &Tensor, penalty: &Tensor, alpha: &Scalar) -> Result<PessimisticLoss> {
    let (x, penalty) = check_targets(x, penalty)?;
    let alpha = alpha.to_tensor(x.device())?.detach();
    let all = x.apply_op3_no_bwd(&penalty, &alpha, &Pessimistic)?;
    let (loss, outputs) = split(&all, x.shape())?;
    let penalty = all.narrow(0, x.elem_count() + 1, penalty.elem_count())?;
    Ok(PessimisticLoss {
        loss,
        outputs,
        penalty,
    })
}

/// A gradient and, behind it, its loss.
fn split(both: &Tensor, shape: &Shape) -> Result<(Tensor, Tensor)> {
    let n = shape.elem_count();
    let loss = both.narrow(0, n, 1)?.squeeze(0)?;
    Ok((loss, both.narrow(0, 0, n)?.reshape(shape)?))
}

/// As [`check_targets`], or a target for every value.
fn check_errors(x: &Tensor, y: &Tensor) -> Result<(Tensor, Tensor)> {
    let is_f32 = [x, y].iter().all(|x| x.dtype() == DType::F32);
    if x.dims() == y.dims() && x.elem_count() > 0 && is_f32 {
        return Ok((x.detach().contiguous()?, y.detach().contiguous()?));
    }
    check_targets(x, y)
}

/// Untracked members and targets.
fn check_targets(x: &Tensor, y: &Tensor) -> Result<(Tensor, Tensor)> {
    check(x)?;
    if y.dims() != &x.dims()[1..] || y.dtype() != DType::F32 {
        let expected = format!("f32 {:?} (dtype here: {:?})", &x.dims()[1..], y.dtype());
        return Err(shape_error("ensemble", "y", y.dims(), expected));
    }
    Ok((x.detach().contiguous()?, y.detach().contiguous()?))
}

fn check(x: &Tensor) -> Result<()> {
    match x.dims() {
        [members, columns] if members * columns > 0 && x.dtype() == DType::F32 => Ok(()),
        dims => {
            let expected = format!("f32 [E, B] (dtype here: {:?})", x.dtype());
            Err(shape_error("ensemble", "x", dims, expected))
        }
    }
}

/// The member with the minimum of column `b`.
fn arg_minimum(x: &[f32], columns: usize, b: usize) -> usize {
    let members = x.len() / columns;
    let mut best = 0;
    for e in 1..members {
        if x[e * columns + b] < x[best * columns + b] {
            best = e;
        }
    }
    best
}

struct Minimum;

impl CustomOp1 for Minimum {
    fn name(&self) -> &'static str {
        "ensemble-minimum"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (x, columns) = (f32_slice(x, layout)?, layout.dims()[1]);
        let least = (0..columns).map(|b| x[arg_minimum(x, columns, b) * columns + b]);
        Ok((CpuStorage::F32(least.collect()), Shape::from(columns)))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, x: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        cuda::minimum(x, layout)
    }

    fn bwd(&self, x: &Tensor, _: &Tensor, upstream: &Tensor) -> Result<Option<Tensor>> {
        let gradient = x
            .detach()
            .apply_op2_no_bwd(&upstream.contiguous()?, &Routed)?;
        Ok(Some(gradient))
    }
}

/// The gradient of a minimum goes to the member that has it.
struct Routed;

impl CustomOp2 for Routed {
    fn name(&self) -> &'static str {
        "ensemble-minimum-gradient"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        layout: &Layout,
        upstream: &CpuStorage,
        upstream_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, columns) = (f32_slice(x, layout)?, layout.dims()[1]);
        let mut out = vec![0.0; x.len()];
        for (b, given) in f32_slice(upstream, upstream_layout)?.iter().enumerate() {
            out[arg_minimum(x, columns, b) * columns + b] = *given;
        }
        Ok((CpuStorage::F32(out), layout.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        layout: &Layout,
        upstream: &CudaStorage,
        upstream_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        cuda::routed((x, layout), (upstream, upstream_layout))
    }
}

struct SquaredError;

impl CustomOp2 for SquaredError {
    fn name(&self) -> &'static str {
        "ensemble-squared-error"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        layout: &Layout,
        y: &CpuStorage,
        y_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, y) = (f32_slice(x, layout)?, f32_slice(y, y_layout)?);
        let of_member = |x: &[f32]| {
            let squares = x.iter().zip(y);
            let squares = squares.map(|(x, y)| f64::from((x - y) * (x - y)));
            squares.sum::<f64>() / y.len() as f64
        };
        let total: f64 = x.chunks_exact(y.len()).map(of_member).sum();
        Ok((CpuStorage::F32(vec![total as f32]), Shape::from(())))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        layout: &Layout,
        y: &CudaStorage,
        y_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        cuda::squared_error((x, layout), (y, y_layout))
    }

    fn bwd(
        &self,
        x: &Tensor,
        y: &Tensor,
        _: &Tensor,
        upstream: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let (x, upstream) = (x.detach(), upstream.contiguous()?);
        let gradient = x.apply_op3_no_bwd(&y.detach(), &upstream, &Error)?;
        Ok((Some(gradient), None))
    }
}

/// `2 (x_e - y) / B` times the loss's gradient.
struct Error;

impl CustomOp3 for Error {
    fn name(&self) -> &'static str {
        "ensemble-squared-error-gradient"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        layout: &Layout,
        y: &CpuStorage,
        y_layout: &Layout,
        upstream: &CpuStorage,
        upstream_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, y) = (f32_slice(x, layout)?, f32_slice(y, y_layout)?);
        let factor = 2.0 / y.len() as f32 * f32_slice(upstream, upstream_layout)?[0];
        let errors = x
            .iter()
            .zip(y.iter().cycle())
            .map(|(x, y)| factor * (x - y));
        Ok((CpuStorage::F32(errors.collect()), layout.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        layout: &Layout,
        y: &CudaStorage,
        y_layout: &Layout,
        upstream: &CudaStorage,
        upstream_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let upstream = (upstream, upstream_layout);
        cuda::error((x, layout), (y, y_layout), upstream)
    }
}
