//! The same on a CUDA device.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CudaStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};

use super::Steering;
use crate::cuda::{Module, buffer, count, elements, launch, view};

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
    launch!(device, POINTWISE, "gated_sum", elements(n);
        &x, &gate, &y, &mut out, &scale, &gain, &n);
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
    x.apply_op1_no_bwd(&Clamp { low, high })
}

struct Clamp {
    low: f32,
    high: f32,
}

impl CustomOp1 for Clamp {
    fn name(&self) -> &'static str {
        "clamp"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        let problem = "a host clamps by candle";
        Err(candle_core::Error::Msg(problem.into()))
    }

    fn cuda_fwd(&self, x: &CudaStorage, layout: &Layout) -> Output {
        let (device, x) = (x.device().clone(), view(x, layout)?);
        let (mut out, n) = (buffer(&device, x.len())?, count(x.len())?);
        launch!(device, POINTWISE, "clamp", elements(n); &x, &mut out, &self.low, &self.high, &n);
        let shape = layout.shape().clone();
        Ok((CudaStorage::wrap_cuda_slice(out, device), shape))
    }
}

/// Of a value and a measurement `[1]`.
pub(super) fn steered(value: &Tensor, measured: &Tensor, by: Steering) -> Result<Tensor> {
    value.apply_op2_no_bwd(measured, &Steer(by))
}

struct Steer(Steering);

impl CustomOp2 for Steer {
    fn name(&self) -> &'static str {
        "steered"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let problem = "a host steers its numbers itself";
        Err(candle_core::Error::Msg(problem.into()))
    }

    fn cuda_fwd(
        &self,
        value: &CudaStorage,
        value_layout: &Layout,
        measured: &CudaStorage,
        measured_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let (device, shape) = (value.device().clone(), value_layout.shape().clone());
        let (value, measured) = (view(value, value_layout)?, view(measured, measured_layout)?);
        let Steering {
            rate,
            target,
            low,
            high,
        } = self.0;
        let mut out = buffer(&device, 1)?;
        launch!(device, POINTWISE, "steered", elements(1);
            &value, &measured, &mut out, &rate, &target, &low, &high);
        Ok((CudaStorage::wrap_cuda_slice(out, device), shape))
    }
}
