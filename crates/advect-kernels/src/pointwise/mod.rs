//! Sums with factors, bounds, and controllers of single numbers, in one pass each.

#[cfg(feature = "cuda")]
mod cuda;

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp2, CustomOp3, DType, Layout, Result, Shape, Tensor};

use crate::error::shape_error;
use crate::params::f32_slice;
use crate::scalars::Scalar;

/// `x - factor y`.
///
/// # Shapes
/// `x` and `y` `[B]`, f32, to `[B]`.
///
/// # Errors
/// On a shape mismatch.
pub fn minus_scaled(x: &Tensor, y: &Tensor, factor: &Scalar) -> Result<Tensor> {
    check("minus_scaled", &[("x", x), ("y", y)])?;
    let factor = factor.to_tensor(x.device())?.detach();
    let (x, y) = (x.detach().contiguous()?, y.detach().contiguous()?);
    x.apply_op3_no_bwd(&y, &factor, &MinusScaled)
}

/// `scale x + gain (1 - gate) y`, where `y` may be the least of several members' values.
///
/// # Shapes
/// `x` and `gate` `[B]`, `y` `[B]` or `[E, B]`, f32, to `[B]`.
///
/// # Errors
/// On a shape mismatch.
///
/// ```
/// use advect_kernels::pointwise::gated_sum;
/// use candle_core::{Device, Tensor};
/// let column = |values: [f32; 2]| Tensor::new(&values, &Device::Cpu);
/// let (x, gate, y) = (column([1.0, 1.0])?, column([0.0, 1.0])?, column([10.0, 10.0])?);
/// let sum = gated_sum(&x, &gate, &y, 2.0, 0.5)?;
/// assert_eq!(sum.to_vec1::<f32>()?, [7.0, 2.0]);
/// let members = Tensor::new(&[[10f32, 10.0], [4.0, 20.0]], &Device::Cpu)?;
/// let sum = gated_sum(&x, &gate, &members, 2.0, 0.5)?;
/// assert_eq!(sum.to_vec1::<f32>()?, [4.0, 2.0]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn gated_sum(x: &Tensor, gate: &Tensor, y: &Tensor, scale: f64, gain: f64) -> Result<Tensor> {
    let columns = [("x", x), ("gate", gate), ("y", y)];
    match y.dims() {
        [members, rows] if *members > 0 && x.dims() == [*rows] && y.dtype() == DType::F32 => {
            check("gated_sum", &columns[..2])?;
        }
        _ => check("gated_sum", &columns)?,
    }
    let [x, gate, y] = columns.map(|(_, x)| x.detach().contiguous());
    let op = GatedSum {
        scale: scale as f32,
        gain: gain as f32,
    };
    x?.apply_op3_no_bwd(&gate?, &y?, &op)
}

/// `x + h v`, differentiable; in one pass where nobody wants a gradient.
///
/// # Shapes
/// Both of one shape.
///
/// # Errors
/// On a shape mismatch.
pub fn step(x: &Tensor, v: &Tensor, h: f64) -> Result<Tensor> {
    let is_plain = |x: &Tensor| x.dtype() == DType::F32 && !x.track_op();
    if x.dims() != v.dims() || !is_plain(x) || !is_plain(v) {
        return x + (v * h)?;
    }
    x.contiguous()?
        .apply_op2_no_bwd(&v.contiguous()?, &Step { h: h as f32 })
}

/// `min(max(x, low), high)` without gradient, any shape.
///
/// # Errors
/// If the device fails.
pub fn clamp(x: &Tensor, low: f64, high: f64) -> Result<Tensor> {
    let x = x.detach();
    #[cfg(feature = "cuda")]
    if x.device().is_cuda() && x.dtype() == DType::F32 {
        return cuda::clamp(&x.contiguous()?, low as f32, high as f32);
    }
    x.clamp(low, high)
}

/// `(1 - t) x + t y` of every row; by one kernel on a CUDA device where nobody wants a gradient.
///
/// # Shapes
/// `x` and `y` `[B, d]`, `t` `[B]` to `[B, d]`.
///
/// # Errors
/// On a shape mismatch.
///
/// ```
/// use advect_kernels::pointwise::mix;
/// use candle_core::{Device, Tensor};
/// let (x, y) = (Tensor::new(&[[2f32], [2.0]], &Device::Cpu)?, Tensor::new(&[[6f32], [6.0]], &Device::Cpu)?);
/// let t = Tensor::new(&[0.25f32, 1.0], &Device::Cpu)?;
/// assert_eq!(mix(&x, &y, &t)?.to_vec2::<f32>()?, [[3.0], [6.0]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn mix(x: &Tensor, y: &Tensor, t: &Tensor) -> Result<Tensor> {
    check_rows("mix", [x, y], &[("t", t)])?;
    #[cfg(feature = "cuda")]
    if [x, y, t].into_iter().all(is_for_kernels) {
        return cuda::mix(&x.contiguous()?, &y.contiguous()?, &t.contiguous()?);
    }
    let t = t.unsqueeze(1)?;
    x.broadcast_mul(&t.affine(-1.0, 1.0)?)? + y.broadcast_mul(&t)?
}

/// `x - clamp(to - from, 0, 1) y` of every row, without gradient.
///
/// # Shapes
/// `x` and `y` `[B, d]`, `from` and `to` `[B]` to `[B, d]`.
///
/// # Errors
/// On a shape mismatch.
///
/// ```
/// use advect_kernels::pointwise::minus_span;
/// use candle_core::{Device, Tensor};
/// let (x, y) = (Tensor::new(&[[1f32], [1.0]], &Device::Cpu)?, Tensor::new(&[[4f32], [4.0]], &Device::Cpu)?);
/// let (from, to) = (Tensor::new(&[0.25f32, 0.5], &Device::Cpu)?, Tensor::new(&[0.75f32, 0.5], &Device::Cpu)?);
/// assert_eq!(minus_span(&x, &y, &from, &to)?.to_vec2::<f32>()?, [[-1.0], [1.0]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn minus_span(x: &Tensor, y: &Tensor, from: &Tensor, to: &Tensor) -> Result<Tensor> {
    check_rows("minus_span", [x, y], &[("from", from), ("to", to)])?;
    let [x, y, from, to] = [x, y, from, to].map(|x| x.detach().contiguous());
    let (x, y, from, to) = (x?, y?, from?, to?);
    #[cfg(feature = "cuda")]
    if [&x, &y, &from, &to].into_iter().all(is_for_kernels) {
        return cuda::minus_span(&x, &y, &from, &to);
    }
    let span = (to - from)?.clamp(0.0, 1.0)?.unsqueeze(1)?;
    x - y.broadcast_mul(&span)?
}

/// A step of a reverse diffusion chain, see [`denoised`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Denoising {
    /// Share of the predicted noise in `x`.
    pub of_eps: f64,
    /// What the rest is multiplied by.
    pub scale: f64,
    /// Bound of the data.
    pub bound: f64,
    /// Share of the data in the next point.
    pub of_data: f64,
    /// Share of `x`.
    pub of_x: f64,
    /// Standard deviation of the noise.
    pub std: f64,
}

/// `of_data clip(scale (x - of_eps eps), -bound, bound) + of_x x + std noise`, without noise in a chain's last step; by one kernel on a CUDA
/// device where nobody wants a gradient.
///
/// # Shapes
/// All of one shape.
///
/// # Errors
/// On a shape mismatch.
///
/// ```
/// use advect_kernels::pointwise::{Denoising, denoised};
/// use candle_core::{Device, Tensor};
/// let by = Denoising { of_eps: 0.5, scale: 2.0, bound: 1.0, of_data: 0.5, of_x: 0.25, std: 0.1 };
/// let (x, eps) = (Tensor::new(&[1f32, 4.0], &Device::Cpu)?, Tensor::new(&[1.5f32, 0.0], &Device::Cpu)?);
/// assert_eq!(denoised(&x, &eps, None, by)?.to_vec1::<f32>()?, [0.5, 1.5]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn denoised(x: &Tensor, eps: &Tensor, noise: Option<&Tensor>, by: Denoising) -> Result<Tensor> {
    for (name, other) in [("eps", Some(eps)), ("noise", noise)] {
        if let Some(other) = other.filter(|other| other.dims() != x.dims()) {
            let expected = format!("{:?}, as x", x.dims());
            return Err(shape_error("denoised", name, other.dims(), expected));
        }
    }
    #[cfg(feature = "cuda")]
    if is_for_kernels(x) && is_for_kernels(eps) && noise.is_none_or(is_for_kernels) {
        let noise = noise.map(Tensor::contiguous).transpose()?;
        return cuda::denoised(&x.contiguous()?, &eps.contiguous()?, noise.as_ref(), by);
    }
    let data = ((x - (eps * by.of_eps)?)? * by.scale)?.clamp(-by.bound, by.bound)?;
    let mean = ((data * by.of_data)? + (x * by.of_x)?)?;
    match noise {
        Some(noise) => mean + (noise * by.std)?,
        None => Ok(mean),
    }
}

/// The smaller and the larger of two values in every place, without gradient.
///
/// # Errors
/// On a shape mismatch.
pub fn sorted(x: &Tensor, y: &Tensor) -> Result<(Tensor, Tensor)> {
    check("sorted", &[("x", x), ("y", y)])?;
    let (x, y) = (x.detach().contiguous()?, y.detach().contiguous()?);
    #[cfg(feature = "cuda")]
    if x.device().is_cuda() {
        return cuda::sorted(&x, &y);
    }
    Ok((x.minimum(&y)?, x.maximum(&y)?))
}

/// An integral controller.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Steering {
    /// How far a unit of deviation moves the number.
    pub rate: f64,
    /// What is to be measured.
    pub target: f64,
    /// Smallest value of the number.
    pub low: f64,
    /// Largest.
    pub high: f64,
}

/// `clip(value + rate (target - measured), low, high)`; what is no number stays none, so that somebody sees it.
///
/// # Errors
/// If the device fails.
///
/// ```
/// use advect_kernels::pointwise::{Steering, steered};
/// let by = Steering { rate: 0.1, target: 1.0, low: 0.0, high: 2.0 };
/// assert_eq!(steered(&1.5.into(), &0.0.into(), by)?.read()?, 1.6);
/// assert_eq!(steered(&1.5.into(), &(-9.0).into(), by)?.read()?, 2.0);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn steered(value: &Scalar, measured: &Scalar, by: Steering) -> Result<Scalar> {
    match (value, measured) {
        (Scalar::Host(value), measured) => {
            let moved = value + by.rate * (by.target - measured.read()?);
            Ok(Scalar::Host(match moved {
                moved if moved < by.low => by.low,
                moved if moved > by.high => by.high,
                moved => moved,
            }))
        }
        #[cfg(feature = "cuda")]
        (Scalar::Device(value), measured) => {
            let measured = measured.to_tensor(value.device())?;
            cuda::steered(value, &measured, by).map(Scalar::Device)
        }
        #[cfg(not(feature = "cuda"))]
        (Scalar::Device(_), _) => Err(candle_core::Error::NotCompiledWithCudaSupport),
    }
}

fn check(op: &'static str, columns: &[(&'static str, &Tensor)]) -> Result<()> {
    let rows = columns[0].1.dims();
    for (name, x) in columns {
        if x.rank() != 1 || x.dims() != rows || x.dtype() != DType::F32 {
            let expected = format!("f32 {rows:?}, one axis (dtype here: {:?})", x.dtype());
            return Err(shape_error(op, name, x.dims(), expected));
        }
    }
    Ok(())
}

/// Matrices of one shape, and columns of a number for each of their rows.
fn check_rows(
    op: &'static str,
    [x, y]: [&Tensor; 2],
    columns: &[(&'static str, &Tensor)],
) -> Result<()> {
    let (rows, width) = x.dims2()?;
    let columns = columns.iter().map(|(name, x)| (*name, *x, vec![rows]));
    let matrices = [("x", x, vec![rows, width]), ("y", y, vec![rows, width])];
    for (name, x, dims) in matrices.into_iter().chain(columns) {
        if x.dims() != dims {
            return Err(shape_error(op, name, x.dims(), format!("{dims:?}")));
        }
    }
    Ok(())
}

/// Whether our kernels take a tensor.
#[cfg(feature = "cuda")]
fn is_for_kernels(x: &Tensor) -> bool {
    x.device().is_cuda() && x.dtype() == DType::F32 && !x.track_op()
}

struct MinusScaled;

impl CustomOp3 for MinusScaled {
    fn name(&self) -> &'static str {
        "minus-scaled"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        y: &CpuStorage,
        y_layout: &Layout,
        factor: &CpuStorage,
        factor_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, y) = (f32_slice(x, x_layout)?, f32_slice(y, y_layout)?);
        let factor = f32_slice(factor, factor_layout)?[0];
        let sums = x.iter().zip(y).map(|(x, y)| x - factor * y);
        Ok((CpuStorage::F32(sums.collect()), x_layout.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        x_layout: &Layout,
        y: &CudaStorage,
        y_layout: &Layout,
        factor: &CudaStorage,
        factor_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let (y, factor) = ((y, y_layout), (factor, factor_layout));
        cuda::minus_scaled((x, x_layout), y, factor)
    }
}

struct Step {
    h: f32,
}

impl CustomOp2 for Step {
    fn name(&self) -> &'static str {
        "step"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        v: &CpuStorage,
        v_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, v) = (f32_slice(x, x_layout)?, f32_slice(v, v_layout)?);
        let moved = x.iter().zip(v).map(|(x, v)| x + self.h * v);
        Ok((CpuStorage::F32(moved.collect()), x_layout.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        x_layout: &Layout,
        v: &CudaStorage,
        v_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        cuda::step((x, x_layout), (v, v_layout), self.h)
    }
}

struct GatedSum {
    scale: f32,
    gain: f32,
}

impl CustomOp3 for GatedSum {
    fn name(&self) -> &'static str {
        "gated-sum"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        x_layout: &Layout,
        gate: &CpuStorage,
        gate_layout: &Layout,
        y: &CpuStorage,
        y_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let Self { scale, gain } = *self;
        let (x, gate) = (f32_slice(x, x_layout)?, f32_slice(gate, gate_layout)?);
        let members = f32_slice(y, y_layout)?;
        let least = |b: usize| {
            let own = members.iter().skip(b).step_by(x.len());
            own.copied().reduce(|a, b| if b < a { b } else { a })
        };
        let rows = x.iter().zip(gate).enumerate();
        let sums = rows
            .map(|(b, (x, gate))| scale * x + (gain - gain * gate) * least(b).unwrap_or(f32::NAN));
        Ok((CpuStorage::F32(sums.collect()), x_layout.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        x_layout: &Layout,
        gate: &CudaStorage,
        gate_layout: &Layout,
        y: &CudaStorage,
        y_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let rest = [(gate, gate_layout), (y, y_layout)];
        cuda::gated_sum((x, x_layout), rest, [self.scale, self.gain])
    }
}
