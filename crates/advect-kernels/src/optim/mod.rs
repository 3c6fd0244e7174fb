//! Adam and AdamW over flat parameter buffers, with named state that can be saved.
//!
//! One step is three passes: the norm of the gradient (which also finds a value that is not finite), both moments, the
//! parameters. The norm is summed in f64 in a fixed order, so a step has the same bits whatever the thread count and
//! instruction set. On a CUDA device the same passes read the norm and the count of steps where they lie, so that a step
//! does not wait for the host.

#[cfg(feature = "cuda")]
mod cuda;
mod host;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use candle_core::{DType, Device, Result, Storage, Tensor};

use crate::error::{KernelError, shape_error};
use crate::params::{ParamLayout, Params, f32_slice};
use crate::scalars::Scalar;
use crate::schedule::Schedule;
use crate::simd::dispatch;
use host::{Moments, SquareSum, Update};

/// Constants of [`Adam`].
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct AdamConfig {
    /// Decay of the first moment.
    pub beta1: f64,
    /// Decay of the second moment.
    pub beta2: f64,
    /// Added to the root of the second moment.
    pub eps: f64,
    /// Decoupled weight decay (AdamW); 0 is Adam.
    pub weight_decay: f64,
    /// Gradients are multiplied by `min(1, clip_norm / norm)`; `None` leaves them.
    pub clip_norm: Option<f64>,
}

impl Default for AdamConfig {
    /// The constants of Kingma and Ba: 0.9, 0.999, 1e-8; no decay, no clipping.
    fn default() -> Self {
        Self {
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            weight_decay: 0.0,
            clip_norm: None,
        }
    }
}

impl AdamConfig {
    fn check(&self) -> Result<()> {
        let unit = |x: f64| (0.0..1.0).contains(&x);
        let clip_ok = self.clip_norm.is_none_or(|c| c > 0.0);
        let problem = if !unit(self.beta1) || !unit(self.beta2) {
            format!("beta1 = {}, beta2 = {}", self.beta1, self.beta2)
        } else if !(self.eps > 0.0 && self.weight_decay >= 0.0 && clip_ok) {
            let (decay, clip) = (self.weight_decay, self.clip_norm);
            format!(
                "eps = {}, weight_decay = {decay}, clip_norm = {clip:?}",
                self.eps
            )
        } else {
            return Ok(());
        };
        Err(invalid(
            "AdamConfig",
            problem,
            "take betas in [0, 1), eps > 0, weight_decay >= 0, clip_norm > 0",
        ))
    }
}

/// What [`Adam`] carries from step to step.
#[derive(Clone, Debug, PartialEq)]
pub struct AdamState {
    /// Steps taken.
    pub step: u64,
    /// First moments, in the order of the parameter buffer.
    pub m: Vec<f32>,
    /// Second moments, in the order of the parameter buffer.
    pub v: Vec<f32>,
}

/// Adam with optional decoupled weight decay and gradient clipping.
///
/// ```text
/// g <- g min(1, clip_norm / |g|)
/// m <- b1 m + (1 - b1) g        v <- b2 v + (1 - b2) g^2
/// p <- p - lr ( m / (1 - b1^t) / (sqrt(v / (1 - b2^t)) + eps) + weight_decay p )
/// ```
///
/// Source: Kingma and Ba 2015, algorithm 1; Loshchilov and Hutter 2019, algorithm 2.
#[derive(Debug)]
pub struct Adam {
    config: AdamConfig,
    layout: Arc<ParamLayout>,
    step: u64,
    rate: f64,
    /// `[2, number of values]`: first moments, second moments.
    moments: Tensor,
    #[cfg(feature = "cuda")]
    clock: Option<cuda::Clock>,
}

impl Adam {
    /// An optimiser for `params` with zero moments.
    ///
    /// # Errors
    /// If a constant is out of range or the device cannot hold the moments.
    pub fn new(params: &Params, config: AdamConfig) -> Result<Self> {
        config.check()?;
        let (values, device) = (params.tensor().elem_count(), params.tensor().device());
        Ok(Self {
            #[cfg(feature = "cuda")]
            clock: cuda::Clock::new(device)?,
            config,
            layout: params.layout().clone(),
            step: 0,
            rate: 0.0,
            moments: Tensor::zeros((2, values), DType::F32, device)?,
        })
    }

    /// The constants.
    pub fn config(&self) -> &AdamConfig {
        &self.config
    }

    /// Steps taken; those of a graph's launches are only in [`Adam::state`].
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// Learning rate of the last step, 0 before the first; a CUDA device is not waited for.
    ///
    /// # Errors
    /// If the device fails.
    pub fn rate(&self) -> Result<Scalar> {
        #[cfg(feature = "cuda")]
        if let Some(clock) = &self.clock {
            return Ok(Scalar::Device(clock.rate()?));
        }
        Ok(Scalar::Host(self.rate))
    }

    /// Moves `params` against `grad` (same shape), at the learning rate of this step in the schedule, and returns the norm of the gradient before clipping, a scalar of f64 where the
    /// parameters are.
    ///
    /// # Errors
    /// If the shapes differ, or a value of the gradient is not finite: [`KernelError::NonFinite`] names the first one and its
    /// parameter, and neither parameters nor state have changed. A CUDA device is not waited for: there it is the norm that is not
    /// finite, and nothing has changed either.
    pub fn step(
        &mut self,
        params: &Params,
        grad: &Tensor,
        lr: impl Into<Schedule>,
    ) -> Result<Tensor> {
        self.check_shapes(params, grad)?;
        let schedule = lr.into();
        let grad = grad.contiguous()?;
        #[cfg(feature = "cuda")]
        if let Some(clock) = &self.clock {
            self.step += 1;
            let tensors = (&params.detached(), &self.moments, &grad);
            return clock.step(&self.config, tensors, schedule);
        }
        let norm = self.finite_norm(&grad)?;
        let scale = self.config.clip_norm.map_or(1.0, |c| (c / norm).min(1.0));
        let (t, lr) = (self.step + 1, schedule.at(self.step));
        self.moments
            .inplace_op2(&grad, &Moments::new(&self.config, scale))?;
        let update = Update::new(&self.config, lr, t);
        params.detached().inplace_op2(&self.moments, &update)?;
        (self.step, self.rate) = (t, lr);
        Tensor::new(norm, &Device::Cpu)
    }

    fn check_shapes(&self, params: &Params, grad: &Tensor) -> Result<()> {
        let (wanted, found) = (params.tensor().dims(), grad.dims());
        if wanted != found || 2 * grad.elem_count() != self.moments.elem_count() {
            let expected = format!("the parameters' shape {wanted:?}");
            return Err(shape_error("Adam::step", "grad", found, expected));
        }
        Ok(())
    }

    fn finite_norm(&self, grad: &Tensor) -> Result<f64> {
        let norm = global_norm(grad)?;
        if norm.is_finite() {
            return Ok(norm);
        }
        let values = grad.flatten_all()?.to_vec1::<f32>()?;
        match values.iter().position(|g| !g.is_finite()) {
            Some(index) => Err(self.non_finite(index, values[index])),
            None => Ok(norm),
        }
    }

    fn non_finite(&self, index: usize, value: f32) -> candle_core::Error {
        let width = self.layout.len().max(1);
        let name = self
            .layout
            .entry_at(index % width)
            .map_or("unnamed", |entry| &entry.name);
        let place = if self.moments.elem_count() > 2 * width {
            format!("{name} of member {}", index / width)
        } else {
            name.to_owned()
        };
        let what = format!("gradient at optimiser step {}", self.step);
        KernelError::NonFinite {
            what,
            index,
            value,
            place,
        }
        .into()
    }

    /// The state to save.
    ///
    /// # Errors
    /// If the device cannot be read.
    pub fn state(&self) -> Result<AdamState> {
        let read = |row: usize| self.moments.get(row)?.to_vec1();
        Ok(AdamState {
            step: self.counted_steps()?,
            m: read(0)?,
            v: read(1)?,
        })
    }

    /// Steps taken, those of graphs too.
    fn counted_steps(&self) -> Result<u64> {
        #[cfg(feature = "cuda")]
        if let Some(clock) = &self.clock {
            return clock.steps();
        }
        Ok(self.step)
    }

    /// Continues from a saved state; moments and count stay where they lie.
    ///
    /// # Errors
    /// If the number of moments is not that of the parameters.
    pub fn load_state(&mut self, state: &AdamState) -> Result<()> {
        let wanted = self.moments.elem_count() / 2;
        if state.m.len() != wanted || state.v.len() != wanted {
            let found = [state.m.len(), state.v.len()];
            let expected = format!("{wanted} values of each moment");
            return Err(shape_error("Adam::load_state", "m, v", &found, expected));
        }
        let both = [state.m.as_slice(), &state.v].concat();
        let moments = Tensor::from_vec(both, (2, wanted), self.moments.device())?;
        self.moments.slice_set(&moments, 0, 0)?;
        #[cfg(feature = "cuda")]
        if let Some(clock) = &self.clock {
            clock.set_steps(state.step)?;
        }
        self.step = state.step;
        Ok(())
    }
}

/// Euclidean norm of all values of an f32 tensor, in f64 and in a fixed order of summation.
///
/// # Errors
/// If the tensor is not f32.
pub fn global_norm(x: &Tensor) -> Result<f64> {
    let x = x.contiguous()?;
    let (storage, layout) = x.storage_and_layout();
    let sum = match &*storage {
        Storage::Cpu(cpu) => dispatch(SquareSum(f32_slice(cpu, layout)?)),
        _ => dispatch(SquareSum(&x.flatten_all()?.to_vec1::<f32>()?)),
    };
    Ok(sum.sqrt())
}

fn invalid(what: &str, problem: String, fix: &str) -> candle_core::Error {
    let (what, fix) = (what.to_owned(), fix.to_owned());
    KernelError::Invalid { what, problem, fix }.into()
}
