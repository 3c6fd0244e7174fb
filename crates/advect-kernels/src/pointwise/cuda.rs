//! The same on a CUDA device.

use candle_core::backend::BackendStorage;
use candle_core::{CudaStorage, Layout, Result, Shape, Tensor};

use super::{Denoising, Steering};
use crate::cuda::{Module, address, buffer, count, elements, filled, launch, view};

const POINTWISE: Module = Module {
    name: "advect_pointwise",
    ptx: include_str!(concat!(env!("OUT_DIR"), "/pointwise.ptx")),
};

type Operand<'a> = (&'a CudaStorage, &'a Layout);
type Output = Result<(CudaStorage, Shape)>;

pub(super) fn minus_scaled(x: Operand<'_>, y: Operand<'_>, factor: Operand<'_>) -> Output {
    let (device, shape) = (x.0.device().clone(), x.1.shape().clone());
    let (x, y) = (view(x.0, x.1)?, view(y.0, y.1)?);
    let factor = view(factor.0, factor.1)?;
    let (mut out, n) = (buffer(&device, x.len())?, count(x.len())?);
    launch!(device, POINTWISE, "minus_scaled", elements(n); &x, &y, &factor, &mut out, &n);
    Ok((CudaStorage::wrap_cuda_slice(out, device), shape))
}

pub(super) fn gated_sum(
    x: Operand<'_>,
    [gate, y]: [Operand<'_>; 2],
    [scale, gain]: [f32; 2],
) -> Output {
    let (device, shape) = (x.0.device().clone(), x.1.shape().clone());
    let x = view(x.0, x.1)?;
    let (gate, y) = (view(gate.0, gate.1)?, view(y.0, y.1)?);
    let (mut out, n) = (buffer(&device, x.len())?, count(x.len())?);
    let members = count(y.len())? / n.max(1);
    launch!(device, POINTWISE, "gated_sum", elements(n);
        &x, &gate, &y, &mut out, &scale, &gain, &members, &n);
    Ok((CudaStorage::wrap_cuda_slice(out, device), shape))
}

pub(super) fn step(x: Operand<'_>, v: Operand<'_>, h: f32) -> Output {
    let (device, shape) = (x.0.device().clone(), x.1.shape().clone());
    let (x, v) = (view(x.0, x.1)?, view(v.0, v.1)?);
    let (mut out, n) = (buffer(&device, x.len())?, count(x.len())?);
    launch!(device, POINTWISE, "step", elements(n); &x, &v, &mut out, &h, &n);
    Ok((CudaStorage::wrap_cuda_slice(out, device), shape))
}

/// Of a contiguous tensor.
pub(super) fn clamp(x: &Tensor, low: f32, high: f32) -> Result<Tensor> {
    filled(x.device(), x.shape(), |device, out| {
        let (n, x) = (count(x.elem_count())?, address(x)?);
        launch!(device, POINTWISE, "clamp", elements(n); &x, out, &low, &high, &n);
        Ok(())
    })
}

/// Of contiguous matrices and a number for each of their rows.
pub(super) fn mix(x: &Tensor, y: &Tensor, t: &Tensor) -> Result<Tensor> {
    filled(x.device(), x.shape(), |device, out| {
        let (n, width) = (count(x.elem_count())?, count(x.dim(1)?)?);
        let [x, y, t] = [address(x)?, address(y)?, address(t)?];
        launch!(device, POINTWISE, "mix", elements(n); &x, &y, &t, out, &width, &n);
        Ok(())
    })
}

/// As [`mix`].
pub(super) fn minus_span(x: &Tensor, y: &Tensor, from: &Tensor, to: &Tensor) -> Result<Tensor> {
    filled(x.device(), x.shape(), |device, out| {
        let (n, width) = (count(x.elem_count())?, count(x.dim(1)?)?);
        let [x, y, from, to] = [address(x)?, address(y)?, address(from)?, address(to)?];
        launch!(device, POINTWISE, "minus_span", elements(n);
            &x, &y, &from, &to, out, &width, &n);
        Ok(())
    })
}

/// Of contiguous tensors of one shape.
pub(super) fn denoised(
    x: &Tensor,
    eps: &Tensor,
    noise: Option<&Tensor>,
    by: Denoising,
) -> Result<Tensor> {
    let Denoising {
        of_eps,
        scale,
        bound,
        of_data,
        of_x,
        std,
    } = by;
    filled(x.device(), x.shape(), |device, out| {
        let noise = noise.map_or(Ok(0), address)?;
        let (n, x, eps) = (count(x.elem_count())?, address(x)?, address(eps)?);
        let [of_eps, scale, bound, of_data, of_x, std] =
            [of_eps, scale, bound, of_data, of_x, std].map(|share| share as f32);
        launch!(device, POINTWISE, "denoised", elements(n);
            &x, &eps, &noise, out, &of_eps, &scale, &bound, &of_data, &of_x, &std, &n);
        Ok(())
    })
}

/// Of contiguous vectors.
pub(super) fn sorted(x: &Tensor, y: &Tensor) -> Result<(Tensor, Tensor)> {
    let n = x.elem_count();
    let both = filled(x.device(), (2, n), |device, out| {
        let (n, x, y) = (count(n)?, address(x)?, address(y)?);
        launch!(device, POINTWISE, "sorted", elements(n); &x, &y, out, &n);
        Ok(())
    })?;
    Ok((both.get(0)?, both.get(1)?))
}

/// Of a value and a measurement `[1]`.
pub(super) fn steered(value: &Tensor, measured: &Tensor, by: Steering) -> Result<Tensor> {
    filled(value.device(), value.shape(), |device, out| {
        let Steering {
            rate,
            target,
            low,
            high,
        } = by;
        let [value, measured] = [address(value)?, address(measured)?];
        launch!(device, POINTWISE, "steered", elements(1);
            &value, &measured, out, &rate, &target, &low, &high);
        Ok(())
    })
}
