//! Adam and AdamW over flat parameter buffers, with named state that can be saved.
//!
//! One step is three passes: the norm of the gradient (which also finds a value that is not finite), both moments, the
//! parameters. The norm is summed in f64 in a fixed order, so a step has the same bits whatever the thread count and
//! instruction set.

use std::sync::Arc;

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, DType, InplaceOp2, Layout, Result, Storage, Tensor};

#[cfg(feature = "cuda")]
use crate::cuda;
use crate::error::{KernelError, shape_error};
use crate::params::{ParamLayout, Params, f32_slice, f32_slice_mut};
use crate::simd::{Kernel, Simd, dispatch};

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
    /// `[2, number of values]`: first moments, second moments.
    moments: Tensor,
}

impl Adam {
    /// An optimiser for `params` with zero moments.
    ///
    /// # Errors
    /// If a constant is out of range or the device cannot hold the moments.
    pub fn new(params: &Params, config: AdamConfig) -> Result<Self> {
        config.check()?;
        let values = params.tensor().elem_count();
        Ok(Self {
            config,
            layout: params.layout().clone(),
            step: 0,
            moments: Tensor::zeros((2, values), DType::F32, params.tensor().device())?,
        })
    }

    /// The constants.
    pub fn config(&self) -> &AdamConfig {
        &self.config
    }

    /// Steps taken.
    pub fn steps(&self) -> u64 {
        self.step
    }

    /// Moves `params` against `grad` (same shape) and returns the norm of the gradient before clipping.
    ///
    /// # Errors
    /// If the shapes differ, or a value of the gradient is not finite: [`KernelError::NonFinite`] names the first one and its
    /// parameter, and neither parameters nor state have changed.
    pub fn step(&mut self, params: &Params, grad: &Tensor, lr: f64) -> Result<f64> {
        self.check_shapes(params, grad)?;
        let grad = grad.contiguous()?;
        let norm = self.finite_norm(&grad)?;
        let scale = self.config.clip_norm.map_or(1.0, |c| (c / norm).min(1.0));
        let t = self.step + 1;
        self.moments
            .inplace_op2(&grad, &Moments::new(&self.config, scale))?;
        let update = Update::new(&self.config, lr, t);
        params.detached().inplace_op2(&self.moments, &update)?;
        self.step = t;
        Ok(norm)
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
            step: self.step,
            m: read(0)?,
            v: read(1)?,
        })
    }

    /// Continues from a saved state.
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
        self.moments = Tensor::from_vec(both, (2, wanted), self.moments.device())?;
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

/// `base^exponent` by repeated squaring: the same bits on every platform.
fn power(base: f64, exponent: u64) -> f64 {
    let (mut result, mut square, mut rest) = (1.0, base, exponent);
    while rest > 0 {
        if rest & 1 == 1 {
            result *= square;
        }
        square *= square;
        rest >>= 1;
    }
    result
}

/// Sum of squares over 16 interleaved partial sums, which are added in order at the end.
struct SquareSum<'a>(&'a [f32]);

impl Kernel for SquareSum<'_> {
    type Out = f64;

    #[inline(always)]
    fn run<S: Simd>(self, _: S) -> f64 {
        const LANES: usize = 16;
        let mut partial = [0.0f64; LANES];
        let chunks = self.0.chunks_exact(LANES);
        let rest = chunks.remainder();
        for chunk in chunks {
            for (sum, x) in partial.iter_mut().zip(chunk) {
                *sum += f64::from(*x) * f64::from(*x);
            }
        }
        for (sum, x) in partial.iter_mut().zip(rest) {
            *sum += f64::from(*x) * f64::from(*x);
        }
        partial.iter().sum()
    }
}

/// Pass two: both moments move towards the scaled gradient and its square.
#[derive(Clone, Copy)]
struct Moments {
    scale: f32,
    toward1: f32,
    toward2: f32,
}

impl Moments {
    fn new(config: &AdamConfig, scale: f64) -> Self {
        Self {
            scale: scale as f32,
            toward1: (1.0 - config.beta1) as f32,
            toward2: (1.0 - config.beta2) as f32,
        }
    }
}

struct MomentsPass<'a>(Moments, &'a mut [f32], &'a [f32]);

impl Kernel for MomentsPass<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self(
            Moments {
                scale,
                toward1,
                toward2,
            },
            moments,
            grad,
        ) = self;
        let (first, second) = moments.split_at_mut(grad.len());
        for ((m, v), g) in first.iter_mut().zip(second).zip(grad) {
            let g = scale * g;
            *m += toward1 * (g - *m);
            *v += toward2 * (g * g - *v);
        }
    }
}

impl InplaceOp2 for Moments {
    fn name(&self) -> &'static str {
        "adam-moments"
    }

    fn cpu_fwd(
        &self,
        moments: &mut CpuStorage,
        moments_layout: &Layout,
        grad: &CpuStorage,
        grad_layout: &Layout,
    ) -> Result<()> {
        let moments = f32_slice_mut(moments, moments_layout)?;
        dispatch(MomentsPass(*self, moments, f32_slice(grad, grad_layout)?));
        Ok(())
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        moments: &mut CudaStorage,
        moments_layout: &Layout,
        grad: &CudaStorage,
        grad_layout: &Layout,
    ) -> Result<()> {
        let (to, from) = ((moments, moments_layout), (grad, grad_layout));
        let (device, mut moments, grad) = cuda::in_place(to, from)?;
        let n = cuda::count(grad.len())?;
        cuda::launch!(device, cuda::OPTIM, "adam_moments", cuda::elements(n);
            &mut moments, &grad, &self.scale, &self.toward1, &self.toward2, &n);
        Ok(())
    }
}

/// Pass three: the parameters move by the ratio of the corrected moments, and decay.
#[derive(Clone, Copy)]
struct Update {
    /// `lr / (1 - beta1^t)`.
    rate: f32,
    /// `1 / sqrt(1 - beta2^t)`.
    root_correction: f32,
    eps: f32,
    /// `lr * weight_decay`.
    decay: f32,
}

impl Update {
    fn new(config: &AdamConfig, lr: f64, t: u64) -> Self {
        Self {
            rate: (lr / (1.0 - power(config.beta1, t))) as f32,
            root_correction: (1.0 - power(config.beta2, t)).sqrt().recip() as f32,
            eps: config.eps as f32,
            decay: (lr * config.weight_decay) as f32,
        }
    }
}

struct UpdatePass<'a>(Update, &'a mut [f32], &'a [f32]);

impl Kernel for UpdatePass<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, _: S) {
        let Self(
            Update {
                rate,
                root_correction,
                eps,
                decay,
            },
            params,
            moments,
        ) = self;
        let (first, second) = moments.split_at(params.len());
        for ((p, m), v) in params.iter_mut().zip(first).zip(second) {
            let direction = rate * (m / (v.sqrt() * root_correction + eps));
            *p -= direction + decay * *p;
        }
    }
}

impl InplaceOp2 for Update {
    fn name(&self) -> &'static str {
        "adam-update"
    }

    fn cpu_fwd(
        &self,
        params: &mut CpuStorage,
        params_layout: &Layout,
        moments: &CpuStorage,
        moments_layout: &Layout,
    ) -> Result<()> {
        let params = f32_slice_mut(params, params_layout)?;
        dispatch(UpdatePass(
            *self,
            params,
            f32_slice(moments, moments_layout)?,
        ));
        Ok(())
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        params: &mut CudaStorage,
        params_layout: &Layout,
        moments: &CudaStorage,
        moments_layout: &Layout,
    ) -> Result<()> {
        let (to, from) = ((params, params_layout), (moments, moments_layout));
        let (device, mut params, moments) = cuda::in_place(to, from)?;
        let n = cuda::count(params.len())?;
        cuda::launch!(device, cuda::OPTIM, "adam_update", cuda::elements(n);
            &mut params, &moments, &self.rate, &self.root_correction, &self.eps, &self.decay, &n);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;
    use crate::simd::{available, run_at};

    fn params(members: Option<usize>, values: Vec<f32>) -> Result<Params> {
        let mut layout = ParamLayout::new();
        layout.push("net.0.weight", &[2, 2]);
        layout.push("net.0.bias", &[2]);
        Params::from_vec(layout, members, values, &Device::Cpu)
    }

    fn gradient(step: usize, values: usize) -> Vec<f32> {
        let wave = |i: usize| ((7 * step + 3 * i) as f32 * 0.37).sin() * 2.0;
        (0..values).map(wave).collect()
    }

    /// The textbook recursion in f64.
    struct Reference {
        config: AdamConfig,
        p: Vec<f64>,
        m: Vec<f64>,
        v: Vec<f64>,
        t: i32,
    }

    impl Reference {
        fn step(&mut self, grad: &[f32], lr: f64) {
            let AdamConfig {
                beta1,
                beta2,
                eps,
                weight_decay,
                clip_norm,
            } = self.config;
            self.t += 1;
            let norm = grad
                .iter()
                .map(|g| f64::from(*g).powi(2))
                .sum::<f64>()
                .sqrt();
            let scale = clip_norm.map_or(1.0, |c| (c / norm).min(1.0));
            for (i, g) in grad.iter().enumerate() {
                let g = f64::from(*g) * scale;
                self.m[i] = beta1 * self.m[i] + (1.0 - beta1) * g;
                self.v[i] = beta2 * self.v[i] + (1.0 - beta2) * g * g;
                let m_hat = self.m[i] / (1.0 - beta1.powi(self.t));
                let v_hat = self.v[i] / (1.0 - beta2.powi(self.t));
                self.p[i] -= lr * (m_hat / (v_hat.sqrt() + eps) + weight_decay * self.p[i]);
            }
        }
    }

    #[test]
    fn adam_and_adamw_follow_the_textbook_recursion() -> Result<()> {
        for (weight_decay, clip_norm) in [(0.0, None), (0.05, Some(1.5)), (0.0, Some(1e6))] {
            let config = AdamConfig {
                weight_decay,
                clip_norm,
                eps: 1e-5,
                ..AdamConfig::default()
            };
            let start = vec![0.5, -1.0, 2.0, 0.1, -0.3, 0.7];
            let params = params(None, start.clone())?;
            let mut adam = Adam::new(&params, config)?;
            let p = start.iter().map(|x| f64::from(*x)).collect();
            let mut reference = Reference {
                config,
                p,
                m: vec![0.0; 6],
                v: vec![0.0; 6],
                t: 0,
            };
            for step in 0..200 {
                let grad = gradient(step, 6);
                let norm =
                    adam.step(&params, &Tensor::new(grad.as_slice(), &Device::Cpu)?, 0.01)?;
                reference.step(&grad, 0.01);
                let expected = grad
                    .iter()
                    .map(|g| f64::from(*g).powi(2))
                    .sum::<f64>()
                    .sqrt();
                assert!((norm - expected).abs() < 1e-12 * expected);
            }
            for (x, y) in params.to_vec()?.iter().zip(&reference.p) {
                assert!((f64::from(*x) - y).abs() < 5e-6, "{x} and {y}");
            }
        }
        Ok(())
    }

    #[test]
    fn saved_state_continues_bit_for_bit() -> Result<()> {
        let config = AdamConfig {
            clip_norm: Some(1.0),
            ..AdamConfig::default()
        };
        let params = params(Some(2), vec![0.25; 12])?;
        let mut adam = Adam::new(&params, config)?;
        let step = |adam: &mut Adam, params: &Params, i: usize| {
            adam.step(
                params,
                &Tensor::from_vec(gradient(i, 12), (2, 6), &Device::Cpu)?,
                0.003,
            )
        };
        for i in 0..5 {
            step(&mut adam, &params, i)?;
        }
        let copy = params.duplicate()?;
        let mut resumed = Adam::new(&copy, config)?;
        resumed.load_state(&adam.state()?)?;
        for i in 5..9 {
            step(&mut adam, &params, i)?;
            step(&mut resumed, &copy, i)?;
        }
        assert_eq!(params.hash()?, copy.hash()?);
        assert_eq!(adam.state()?, resumed.state()?);
        assert_eq!(adam.steps(), 9);
        assert!(
            resumed
                .load_state(&AdamState {
                    step: 0,
                    m: vec![],
                    v: vec![]
                })
                .is_err()
        );
        Ok(())
    }

    #[test]
    fn a_bad_gradient_is_named_and_changes_nothing() -> Result<()> {
        let params = params(Some(2), vec![1.0; 12])?;
        let mut adam = Adam::new(&params, AdamConfig::default())?;
        let mut grad = gradient(1, 12);
        (grad[10], grad[11]) = (f32::NAN, f32::INFINITY);
        let (hash, state) = (params.hash()?, adam.state()?);
        let error = adam
            .step(&params, &Tensor::from_vec(grad, (2, 6), &Device::Cpu)?, 0.1)
            .unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("index 10") && text.contains("net.0.bias of member 1"),
            "{text}"
        );
        assert_eq!((params.hash()?, adam.state()?), (hash, state));
        Ok(())
    }

    #[test]
    fn wrong_shapes_and_constants_are_refused() -> Result<()> {
        let params = params(None, vec![1.0; 6])?;
        let mut adam = Adam::new(&params, AdamConfig::default())?;
        let grad = Tensor::zeros((2, 3), DType::F32, &Device::Cpu)?;
        assert!(
            adam.step(&params, &grad, 0.1)
                .unwrap_err()
                .to_string()
                .contains("`grad`")
        );
        for bad in [
            AdamConfig {
                beta1: 1.0,
                ..AdamConfig::default()
            },
            AdamConfig {
                eps: 0.0,
                ..AdamConfig::default()
            },
            AdamConfig {
                clip_norm: Some(0.0),
                ..AdamConfig::default()
            },
        ] {
            assert!(
                Adam::new(&params, bad)
                    .unwrap_err()
                    .to_string()
                    .contains("AdamConfig")
            );
        }
        Ok(())
    }

    #[test]
    fn every_instruction_set_gives_the_same_bits() {
        let grad = gradient(3, 1003);
        let config = AdamConfig {
            weight_decay: 0.01,
            ..AdamConfig::default()
        };
        let results: Vec<(u64, Vec<f32>, Vec<f32>)> = available()
            .into_iter()
            .map(|level| {
                let sum = run_at(level, SquareSum(&grad));
                let mut moments = vec![0.125; 2 * grad.len()];
                run_at(
                    level,
                    MomentsPass(Moments::new(&config, 0.7), &mut moments, &grad),
                );
                let mut params = gradient(4, grad.len());
                run_at(
                    level,
                    UpdatePass(Update::new(&config, 0.01, 3), &mut params, &moments),
                );
                (sum.to_bits(), moments, params)
            })
            .collect();
        for pair in results.windows(2) {
            assert_eq!(pair[0], pair[1]);
        }
    }
}
