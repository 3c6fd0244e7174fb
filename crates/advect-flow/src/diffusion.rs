//! Denoising diffusion (DDPM): noise schedules, noised data and the reverse chain, in `T` discrete steps `k = 0..T`.
//!
//! The forward chain adds noise, `x_k ~ N(sqrt(1 - beta_k) x_{k-1}, beta_k I)`; a network predicts the noise `eps_theta(x_k, k)`
//! that is in `x_k`, and the reverse chain removes it step by step. Step `k` of this module is step `k + 1` of the papers, whose
//! step 0 is the data.
//!
//! The network is a [`VelocityNet`](crate::VelocityNet) whose flow time is the step's index. Its loss is
//! [`regression_loss`](crate::flow_matching::regression_loss) between `eps_theta` at [`NoiseSchedule::noised`] data and the noise.
//!
//! Sources: Ho, Jain, Abbeel (arXiv 2006.11239); Nichol and Dhariwal (arXiv 2102.09672), the cosine schedule.

use std::f64::consts::FRAC_PI_2;

use advect_kernels::KernelError;
use advect_kernels::pointwise::{self, Denoising};
use candle_core::{DType, Result, Tensor};

use crate::error::{expect_dims, shape_error};
use crate::field::{Field, Span};

/// How much noise every step adds: `beta_k`, and `alpha_bar_k = prod_{j <= k} (1 - beta_j)`, the share of data that is left.
#[derive(Debug, Clone, PartialEq)]
pub struct NoiseSchedule {
    beta: Vec<f64>,
    alpha_bar: Vec<f64>,
}

/// The law of the previous point, `N(x_0 x_0^ + x_k x_k, variance I)`, as coefficients of the data and of the point.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Posterior {
    /// Factor on the (predicted) data.
    pub x_0: f64,
    /// Factor on the noised point.
    pub x_k: f64,
    /// Variance.
    pub variance: f64,
}

impl NoiseSchedule {
    /// `beta_k = min(1 - f(k + 1) / f(k), beta_max)`, `f(i) = cos^2( (i / T + s) / (1 + s) pi / 2 )`
    /// (Nichol and Dhariwal, eq. 17; `s = 0.008`, `beta_max = 0.999` there).
    ///
    /// # Errors
    /// If a `beta` does not lie in (0, 1).
    ///
    /// ```
    /// let schedule = advect_flow::NoiseSchedule::cosine(20, 0.008, 0.999)?;
    /// assert_eq!(schedule.beta()[19], 0.999);
    /// # Ok::<(), candle_core::Error>(())
    /// ```
    pub fn cosine(n_steps: usize, s: f64, beta_max: f64) -> Result<Self> {
        let f = |i: usize| {
            let phase = (i as f64 / n_steps as f64 + s) / (1.0 + s);
            (phase * FRAC_PI_2).cos().powi(2)
        };
        let beta = |k: usize| (1.0 - f(k + 1) / f(k)).min(beta_max);
        Self::from_beta((0..n_steps).map(beta).collect())
    }

    /// `beta_k = scale (first + (last - first) k / (T - 1))`: Ho et al.'s form. SDAC takes scale 0.8 and 1e-4 to 0.999.
    ///
    /// # Errors
    /// If a `beta` does not lie in (0, 1).
    pub fn linear(n_steps: usize, scale: f64, first: f64, last: f64) -> Result<Self> {
        let end = n_steps.saturating_sub(1).max(1) as f64;
        let beta = |k: usize| scale * (first + (last - first) * k as f64 / end);
        Self::from_beta((0..n_steps).map(beta).collect())
    }

    /// Any schedule.
    ///
    /// # Errors
    /// If there is no step, or a `beta` does not lie in (0, 1).
    pub fn from_beta(beta: Vec<f64>) -> Result<Self> {
        let outside = |b: &f64| !(*b > 0.0 && *b < 1.0);
        if let Some(k) = beta.iter().position(outside) {
            return Err(invalid(format!("beta is {} at step {k}", beta[k])));
        }
        if beta.is_empty() {
            return Err(invalid("it has no step".into()));
        }
        let keep = |share: &mut f64, b: &f64| {
            *share *= 1.0 - b;
            Some(*share)
        };
        let alpha_bar = beta.iter().scan(1.0, keep).collect();
        Ok(Self { beta, alpha_bar })
    }

    /// Number of steps, `T`.
    pub fn n_steps(&self) -> usize {
        self.beta.len()
    }

    /// `beta_k` of every step.
    pub fn beta(&self) -> &[f64] {
        &self.beta
    }

    /// `alpha_bar_k` of every step.
    pub fn alpha_bar(&self) -> &[f64] {
        &self.alpha_bar
    }

    /// `(sqrt(alpha_bar_k), sqrt(1 - alpha_bar_k))` of every row, with axes of length 1 after the first up to `rank`.
    ///
    /// # Shapes
    /// `k` `[B]`, u32, to two tensors `[B, 1, ..]` with `rank` axes.
    ///
    /// # Errors
    /// If an index is not below `T`.
    pub fn coefficients(&self, k: &Tensor, rank: usize) -> Result<(Tensor, Tensor)> {
        let mut shape = vec![1; rank.max(1)];
        shape[0] = k.elem_count();
        let at = |of: fn(f64) -> f64| {
            let table: Vec<f32> = self
                .alpha_bar
                .iter()
                .map(|a| of(*a).sqrt() as f32)
                .collect();
            let table = Tensor::new(table, k.device())?;
            table.index_select(k, 0)?.reshape(shape.as_slice())
        };
        Ok((at(|a| a)?, at(|a| 1.0 - a)?))
    }

    /// `x_k = sqrt(alpha_bar_k) x_0 + sqrt(1 - alpha_bar_k) eps`: data noised up to step `k` (Ho et al., eq. 4).
    ///
    /// # Shapes
    /// `x_0` and `eps` `[B, .., d]`, `k` `[B]` u32 to `[B, .., d]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn noised(&self, x_0: &Tensor, eps: &Tensor, k: &Tensor) -> Result<Tensor> {
        expect_dims("NoiseSchedule::noised", "eps", eps, x_0.dims())?;
        expect_steps("NoiseSchedule::noised", k, x_0)?;
        let (data, noise) = self.coefficients(k, x_0.rank())?;
        x_0.broadcast_mul(&data)? + eps.broadcast_mul(&noise)?
    }

    /// `x_0 = clip( (x_k - sqrt(1 - alpha_bar_k) eps) / sqrt(alpha_bar_k), -bound, bound )`: the data that `eps` implies.
    ///
    /// # Shapes
    /// `x_k` and `eps` broadcast to `[B, .., d]` with equal ranks, `k` `[B]` u32 to `[B, .., d]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn implied_x_0(
        &self,
        x_k: &Tensor,
        eps: &Tensor,
        k: &Tensor,
        bound: f64,
    ) -> Result<Tensor> {
        expect_steps("NoiseSchedule::implied_x_0", k, x_k)?;
        let (data, noise) = self.coefficients(k, x_k.rank())?;
        let x_0 = x_k.broadcast_sub(&eps.broadcast_mul(&noise)?)?;
        x_0.broadcast_div(&data)?.clamp(-bound, bound)
    }

    /// `q(x_{k-1} | x_k, x_0)` (Ho et al., eq. 7), `a = alpha_bar`, `a_{-1} = 1`:
    ///
    /// ```text
    /// mean     = ( beta_k sqrt(a_{k-1}) x_0 + (1 - a_{k-1}) sqrt(1 - beta_k) x_k ) / (1 - a_k)
    /// variance = beta_k (1 - a_{k-1}) / (1 - a_k)
    /// ```
    ///
    /// At `k = 0` the mean is `x_0` and the variance is zero. `None` from step `T` on.
    pub fn posterior(&self, k: usize) -> Option<Posterior> {
        let (beta, here) = (*self.beta.get(k)?, *self.alpha_bar.get(k)?);
        let before = k.checked_sub(1).map_or(1.0, |j| self.alpha_bar[j]);
        Some(Posterior {
            x_0: beta * before.sqrt() / (1.0 - here),
            x_k: (1.0 - before) * (1.0 - beta).sqrt() / (1.0 - here),
            variance: beta * (1.0 - before) / (1.0 - here),
        })
    }
}

/// Generation: the reverse chain from noise to data.
///
/// ```text
/// x     <- start_std start
/// x_0^   = clip( (x - sqrt(1 - a_k) eps_theta(x, k)) / sqrt(a_k), -bound, bound ),    k = T-1, .., 0
/// x     <- posterior mean at (x_0^, x) + [k > 0] sqrt(posterior variance) noise_k
/// ```
///
/// and at last `x` is clipped to `[-bound, bound]` (Ho et al., algorithm 2, with eq. 7 and a clipped prediction).
#[derive(Debug, Clone, Copy)]
pub struct ReverseChain<'a> {
    /// The steps.
    pub schedule: &'a NoiseSchedule,
    /// Data lies in `[-bound, bound]`.
    pub bound: f64,
    /// Standard deviation of the start: 1, SDAC 0.5.
    pub start_std: f64,
}

impl<'a> ReverseChain<'a> {
    /// The chain for data in `[-1, 1]`, started from standard normals.
    pub fn new(schedule: &'a NoiseSchedule) -> Self {
        Self {
            schedule,
            bound: 1.0,
            start_std: 1.0,
        }
    }

    /// Data from standard normals: `start`, and `noise(k)` of `start`'s shape for `k = T-1, .., 1`, drawn as the chain goes.
    ///
    /// `predict_noise` is asked for `eps_theta(x, k)` with `k` as the time at the start of the step; a
    /// [`Candidates`](crate::Candidates) field is the network on `P` points per state, without gradient, in either precision.
    ///
    /// # Shapes
    /// Any that the field takes, the same out as in.
    ///
    /// # Errors
    /// On a shape mismatch, or what `noise` reports.
    pub fn sample(
        &self,
        predict_noise: &impl Field,
        start: &Tensor,
        mut noise: impl FnMut(usize) -> Result<Tensor>,
    ) -> Result<Tensor> {
        let steps: Vec<usize> = (0..self.schedule.n_steps()).rev().collect();
        let span = |k: &usize| Span {
            from: *k as f64,
            to: *k as f64 - 1.0,
        };
        let predicted = predict_noise.at_spans(steps.iter().map(span).collect())?;
        let mut x = match self.start_std {
            1.0 => start.clone(),
            std => (start * std)?,
        };
        for (i, k) in steps.into_iter().enumerate() {
            let (by, eps) = (self.denoising(k)?, predicted.value(&x, i)?);
            let noise = (k > 0).then(|| noise(k)).transpose()?;
            if let Some(noise) = &noise {
                expect_dims("ReverseChain", "noise", noise, x.dims())?;
            }
            x = pointwise::denoised(&x, &eps, noise.as_ref(), by)?;
        }
        match x.track_op() {
            true => x.clamp(-self.bound, self.bound),
            false => pointwise::clamp(&x, -self.bound, self.bound),
        }
    }

    /// From step `k` to the one before, given the predicted noise.
    fn denoising(&self, k: usize) -> Result<Denoising> {
        let no_step = || invalid(format!("it has no step {k}"));
        let posterior = self.schedule.posterior(k).ok_or_else(no_step)?;
        let share = self.schedule.alpha_bar[k];
        Ok(Denoising {
            of_eps: (1.0 - share).sqrt(),
            scale: share.sqrt().recip(),
            bound: self.bound,
            of_data: posterior.x_0,
            of_x: posterior.x_k,
            std: posterior.variance.sqrt(),
        })
    }
}

fn expect_steps(op: &'static str, k: &Tensor, x: &Tensor) -> Result<()> {
    if k.dtype() == DType::U32 && k.dims() == &x.dims()[..x.rank().min(1)] {
        return Ok(());
    }
    let rows = x.dims().first().copied().unwrap_or(0);
    let expected = format!("[{rows}] of u32 (it is {:?})", k.dtype());
    Err(shape_error(op, "k", k.dims(), expected))
}

fn invalid(problem: String) -> candle_core::Error {
    KernelError::Invalid {
        what: "NoiseSchedule".into(),
        problem,
        fix: "take at least one step, and beta in (0, 1) everywhere".into(),
    }
    .into()
}
