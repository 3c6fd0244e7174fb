//! Adam's steps on a CUDA device. Nothing of a step comes back to the host: its norm is a tensor that somebody may read.

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::cudarc::driver::{DeviceRepr, LaunchConfig};
use candle_core::{
    CpuStorage, CudaStorage, DType, Device, InplaceOp2, InplaceOp3, Layout, Result, Tensor,
};

use super::AdamConfig;
use crate::cuda::{self, OPTIM, count, launch, view, view_mut};

/// Blocks that sum squares, at most, and the threads of each (`optim.cu`).
const SUM_BLOCKS: u32 = 128;
const SUM_THREADS: u32 = 256;
/// Places in the state (`optim.cu`).
const NORM: usize = 1;
const PARTIAL: usize = 6;

/// Steps taken, the last gradient's norm and the step's factors, f64.
#[derive(Debug)]
pub(super) struct Clock(Tensor);

impl Clock {
    /// Before the first step; nothing for another device.
    pub(super) fn new(device: &Device) -> Result<Option<Self>> {
        let len = PARTIAL + SUM_BLOCKS as usize;
        let zeros = || Tensor::zeros(len, DType::F64, device).map(Self);
        device.is_cuda().then(zeros).transpose()
    }

    /// After that many steps.
    pub(super) fn at(steps: u64, device: &Device) -> Result<Option<Self>> {
        let mut state = vec![0.0; PARTIAL + SUM_BLOCKS as usize];
        state[0] = steps as f64;
        let tensor = || Tensor::new(state, device).map(Self);
        device.is_cuda().then(tensor).transpose()
    }

    /// One step of contiguous tensors, whose moments move too; the norm of the gradient `[]`, f64. Nothing moves if that is not finite.
    pub(super) fn step(
        &self,
        config: &AdamConfig,
        (params, moments, grad): (&Tensor, &Tensor, &Tensor),
        lr: f64,
    ) -> Result<Tensor> {
        self.0.inplace_op2(grad, &Begin { config, lr })?;
        let step = Step {
            config,
            moments,
            lr,
        };
        params.inplace_op3(grad, &self.0, &step)?;
        self.0.narrow(0, NORM, 1)?.copy()?.squeeze(0)
    }
}

fn on_host() -> Result<()> {
    let problem = "a step on a device is asked of a host";
    Err(candle_core::Error::Msg(problem.into()))
}

/// Adam's constants, as the kernel declares them.
#[repr(C)]
#[derive(Clone, Copy)]
struct Constants {
    beta1: f64,
    beta2: f64,
    /// 0 does not clip.
    clip: f64,
    lr: f64,
}

// SAFETY: numbers in C's layout.
#[allow(unsafe_code)]
unsafe impl DeviceRepr for Constants {}

struct Begin<'a> {
    config: &'a AdamConfig,
    lr: f64,
}

impl InplaceOp2 for Begin<'_> {
    fn name(&self) -> &'static str {
        "adam-begin"
    }

    fn cpu_fwd(&self, _: &mut CpuStorage, _: &Layout, _: &CpuStorage, _: &Layout) -> Result<()> {
        on_host()
    }

    fn cuda_fwd(
        &self,
        clock: &mut CudaStorage,
        _: &Layout,
        grad: &CudaStorage,
        grad_layout: &Layout,
    ) -> Result<()> {
        let device = grad.device().clone();
        let (clock, grad) = (clock.as_cuda_slice_mut::<f64>()?, view(grad, grad_layout)?);
        let n = count(grad.len())?;
        let AdamConfig {
            beta1,
            beta2,
            clip_norm,
            ..
        } = *self.config;
        let constants = Constants {
            beta1,
            beta2,
            clip: clip_norm.unwrap_or(0.0),
            lr: self.lr,
        };
        let blocks = LaunchConfig {
            grid_dim: (n.div_ceil(SUM_THREADS).clamp(1, SUM_BLOCKS), 1, 1),
            block_dim: (SUM_THREADS, 1, 1),
            shared_mem_bytes: 0,
        };
        launch!(device, OPTIM, "adam_begin", blocks; clock, &grad, &constants, &n);
        Ok(())
    }
}

struct Step<'a> {
    config: &'a AdamConfig,
    moments: &'a Tensor,
    lr: f64,
}

impl InplaceOp3 for Step<'_> {
    fn name(&self) -> &'static str {
        "adam-step"
    }

    fn cpu_fwd(
        &self,
        _: &mut CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<()> {
        on_host()
    }

    fn cuda_fwd(
        &self,
        params: &mut CudaStorage,
        params_layout: &Layout,
        grad: &CudaStorage,
        grad_layout: &Layout,
        clock: &CudaStorage,
        _: &Layout,
    ) -> Result<()> {
        let device = grad.device().clone();
        let (mut params, grad) = (view_mut(params, params_layout)?, view(grad, grad_layout)?);
        let (n, clock) = (count(params.len())?, clock.as_cuda_slice::<f64>()?);
        // an operation of candle's changes one tensor; the moments are the optimiser's own, and all work is on one stream
        let moments = cuda::address(self.moments)?;
        let AdamConfig {
            beta1,
            beta2,
            eps,
            weight_decay,
            ..
        } = *self.config;
        let [toward1, toward2] = [beta1, beta2].map(|beta| (1.0 - beta) as f32);
        let (eps, decay) = (eps as f32, (self.lr * weight_decay) as f32);
        launch!(device, OPTIM, "adam_step", cuda::elements(n);
            &mut params, &grad, clock, &moments, &toward1, &toward2, &eps, &decay, &n);
        Ok(())
    }
}
