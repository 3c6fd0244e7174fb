//! Adam's steps on a CUDA device. Nothing of a step comes back to the host: its norm is a tensor that somebody may read.

use candle_core::backend::BackendStorage;
use candle_core::cuda_backend::cudarc::driver::{DeviceRepr, LaunchConfig};
use candle_core::{
    CpuStorage, CudaStorage, DType, Device, InplaceOp2, InplaceOp3, Layout, Result, Tensor,
};

use super::AdamConfig;
use crate::cuda::{self, OPTIM, count, launch, view, view_mut};
use crate::schedule::Schedule;

/// Blocks that sum squares, at most, and the threads of each (`optim.cu`).
const SUM_BLOCKS: u32 = 128;
const SUM_THREADS: u32 = 256;
/// Places in the state (`optim.cu`).
const NORM: usize = 1;
const LEARNING_RATE: usize = 5;
const PARTIAL: usize = 7;

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

    /// Puts the count of steps where it lies.
    pub(super) fn set_steps(&self, steps: u64) -> Result<()> {
        let steps = Tensor::new(&[steps as f64], self.0.device())?;
        self.0.slice_set(&steps, 0, 0)
    }

    /// Steps taken; waits for the device.
    pub(super) fn steps(&self) -> Result<u64> {
        Ok(self.0.get(0)?.to_scalar::<f64>()? as u64)
    }

    /// The last step's learning rate `[]`, f64.
    pub(super) fn rate(&self) -> Result<Tensor> {
        self.0.narrow(0, LEARNING_RATE, 1)?.copy()?.squeeze(0)
    }

    /// One step of contiguous tensors, whose moments move too; the norm of the gradient `[]`, f64. Nothing moves if that is not finite.
    pub(super) fn step(
        &self,
        config: &AdamConfig,
        (params, moments, grad): (&Tensor, &Tensor, &Tensor),
        schedule: Schedule,
    ) -> Result<Tensor> {
        let constants = Constants::of(config, schedule);
        let is_small = grad.elem_count() <= SUM_THREADS as usize;
        if !is_small {
            self.0.inplace_op2(grad, &Begin(constants))?;
        }
        let step = Step {
            whole: is_small.then_some(constants),
            moments,
            by: Toward::of(config),
        };
        params.inplace_op3(grad, &self.0, &step)?;
        self.0.narrow(0, NORM, 1)?.copy()?.squeeze(0)
    }
}

fn on_host() -> Result<()> {
    let problem = "a step on a device is asked of a host";
    Err(candle_core::Error::Msg(problem.into()))
}

/// What a step begins with, as the kernel declares it.
#[repr(C)]
#[derive(Clone, Copy)]
struct Constants {
    beta1: f64,
    beta2: f64,
    /// 0 does not clip.
    clip: f64,
    schedule: Rates,
}

// SAFETY: numbers in C's layout.
#[allow(unsafe_code)]
unsafe impl DeviceRepr for Constants {}

impl Constants {
    fn of(config: &AdamConfig, schedule: Schedule) -> Self {
        Self {
            beta1: config.beta1,
            beta2: config.beta2,
            clip: config.clip_norm.unwrap_or(0.0),
            schedule: schedule.into(),
        }
    }
}

/// What moves moments and parameters, as the kernel declares it.
#[repr(C)]
#[derive(Clone, Copy)]
struct Toward {
    toward1: f32,
    toward2: f32,
    eps: f32,
    weight_decay: f64,
}

// SAFETY: numbers in C's layout.
#[allow(unsafe_code)]
unsafe impl DeviceRepr for Toward {}

impl Toward {
    fn of(config: &AdamConfig) -> Self {
        Self {
            toward1: (1.0 - config.beta1) as f32,
            toward2: (1.0 - config.beta2) as f32,
            eps: config.eps as f32,
            weight_decay: config.weight_decay,
        }
    }
}

/// A schedule, as the kernel declares it.
#[repr(C)]
#[derive(Clone, Copy)]
struct Rates {
    lr: f64,
    last: f64,
    begin: u64,
    length: u64,
    kind: u64,
}

impl From<Schedule> for Rates {
    fn from(schedule: Schedule) -> Self {
        let (kind, [lr, last], [begin, length]) = match schedule {
            Schedule::Constant { lr } => (0, [lr; 2], [0; 2]),
            Schedule::Linear {
                lr,
                lr_end,
                begin,
                duration,
            } => (1, [lr, lr_end], [begin, duration]),
            Schedule::Warmup { lr, warmup } => (2, [lr; 2], [warmup, 0]),
            Schedule::WarmupCosine {
                lr,
                lr_end,
                warmup,
                total,
            } => (3, [lr, lr_end], [warmup, total]),
            Schedule::CosineCycles {
                lr,
                lr_min,
                warmup,
                period,
            } => (4, [lr, lr_min], [warmup, period]),
        };
        Self {
            lr,
            last,
            begin,
            length,
            kind,
        }
    }
}

struct Begin(Constants);

impl InplaceOp2 for Begin {
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
        let blocks = LaunchConfig {
            grid_dim: (n.div_ceil(SUM_THREADS).clamp(1, SUM_BLOCKS), 1, 1),
            block_dim: (SUM_THREADS, 1, 1),
            shared_mem_bytes: 0,
        };
        launch!(device, OPTIM, "adam_begin", blocks; clock, &grad, &self.0, &n);
        Ok(())
    }
}

struct Step<'a> {
    /// Begins the step too.
    whole: Option<Constants>,
    moments: &'a Tensor,
    by: Toward,
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
        let by = &self.by;
        match &self.whole {
            Some(constants) => launch!(device, OPTIM, "adam_small", cuda::elements(1);
                &mut params, &grad, clock, &moments, constants, by, &n),
            None => launch!(device, OPTIM, "adam_step", cuda::elements(n);
                &mut params, &grad, clock, &moments, by, &n),
        }
        Ok(())
    }
}
