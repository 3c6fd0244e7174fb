//! Adam's passes over buffers of the host.

use candle_core::{CpuStorage, InplaceOp2, Layout, Result};

use super::AdamConfig;
use crate::params::{f32_slice, f32_slice_mut};
use crate::simd::{Kernel, Simd, dispatch};

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
pub(super) struct SquareSum<'a>(pub &'a [f32]);

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
pub(super) struct Moments {
    scale: f32,
    toward1: f32,
    toward2: f32,
}

impl Moments {
    pub(super) fn new(config: &AdamConfig, scale: f64) -> Self {
        Self {
            scale: scale as f32,
            toward1: (1.0 - config.beta1) as f32,
            toward2: (1.0 - config.beta2) as f32,
        }
    }
}

pub(super) struct MomentsPass<'a>(pub Moments, pub &'a mut [f32], pub &'a [f32]);

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
}

/// Pass three: the parameters move by the ratio of the corrected moments, and decay.
#[derive(Clone, Copy)]
pub(super) struct Update {
    /// `lr / (1 - beta1^t)`.
    rate: f32,
    /// `1 / sqrt(1 - beta2^t)`.
    root_correction: f32,
    eps: f32,
    /// `lr * weight_decay`.
    decay: f32,
}

impl Update {
    pub(super) fn new(config: &AdamConfig, lr: f64, t: u64) -> Self {
        Self {
            rate: (lr / (1.0 - power(config.beta1, t))) as f32,
            root_correction: (1.0 - power(config.beta2, t)).sqrt().recip() as f32,
            eps: config.eps as f32,
            decay: (lr * config.weight_decay) as f32,
        }
    }
}

pub(super) struct UpdatePass<'a>(pub Update, pub &'a mut [f32], pub &'a [f32]);

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
}
