//! What an ensemble's outputs `[E, B]` are reduced to: their minimum, and their squared error to common targets.

#[cfg(feature = "cuda")]
mod cuda;

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{
    CpuStorage, CustomOp1, CustomOp2, CustomOp3, DType, Layout, Result, Shape, Tensor,
};

use crate::error::shape_error;
use crate::params::f32_slice;

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
/// `x` `[E, B]`, `y` `[B]`, f32, to a scalar.
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
    check(x)?;
    if y.dims() != &x.dims()[1..] || y.dtype() != DType::F32 {
        let expected = format!("f32 {:?} (dtype here: {:?})", &x.dims()[1..], y.dtype());
        return Err(shape_error("squared_error", "y", y.dims(), expected));
    }
    let y = y.detach().contiguous()?;
    x.contiguous()?.apply_op2(&y, SquaredError)
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
            let squares = x.iter().zip(y).map(|(x, y)| (x - y) * (x - y));
            squares.sum::<f32>() / y.len() as f32
        };
        let total: f32 = x.chunks_exact(y.len()).map(of_member).sum();
        Ok((CpuStorage::F32(vec![total]), Shape::from(())))
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

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    fn x() -> Result<Tensor> {
        let rows = [
            [1f32, -2.0, 0.5, 3.0],
            [0.5, -1.0, 0.5, 4.0],
            [2.0, -3.0, 7.0, 1.0],
        ];
        Tensor::new(&rows, &Device::Cpu)
    }

    fn gradient(loss: &Tensor, x: &Var) -> Result<Vec<f32>> {
        let missing = || candle_core::Error::Msg("no gradient".into());
        let gradients = loss.backward()?;
        gradients
            .get(x)
            .ok_or_else(missing)?
            .flatten_all()?
            .to_vec1()
    }

    #[test]
    fn the_minimum_and_its_gradient_are_the_composed_ones() -> Result<()> {
        let weight = Tensor::new(&[1f32, 2.0, 3.0, 4.0], &Device::Cpu)?;
        let x = Var::from_tensor(&x()?)?;
        let found = minimum(&x)?;
        assert_eq!(
            found.to_vec1::<f32>()?,
            x.as_tensor().min(0)?.to_vec1::<f32>()?
        );
        let gradient = gradient(&(found * weight)?.sum_all()?, &x)?;
        let expected = [0.0, 0.0, 3.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 2.0, 0.0, 4.0];
        assert_eq!(gradient, expected);
        Ok(())
    }

    #[test]
    fn the_squared_error_and_its_gradient_are_the_composed_ones() -> Result<()> {
        let (x, y) = (
            Var::from_tensor(&x()?)?,
            Tensor::new(&[0.3f32, 0.1, -1.0, 2.0], &Device::Cpu)?,
        );
        let composed = |x: &Var| x.as_tensor().broadcast_sub(&y)?.sqr()?.mean(1)?.sum_all();
        let (found, expected) = (squared_error(&x, &y)?, composed(&x)?);
        let error = (&found - &expected)?.abs()?.to_scalar::<f32>()?;
        assert!(error < 1e-5, "{error}");
        let pairs = gradient(&(found * 0.7)?, &x)?
            .into_iter()
            .zip(gradient(&(expected * 0.7)?, &x)?);
        for (found, expected) in pairs {
            assert!((found - expected).abs() < 1e-6, "{found} and {expected}");
        }
        assert!(squared_error(&x, &y.narrow(0, 0, 2)?).is_err());
        Ok(())
    }
}
