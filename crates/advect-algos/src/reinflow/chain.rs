//! The Markov chain of a flow with noise in every step: its points and their likelihood.

use candle_core::{Device, Result, Tensor};
use serde::{Deserialize, Serialize};

use super::network::NoisyFlow;
use super::noise::Bounds;
use crate::gaussian;
use crate::rows::repeat_rows;

/// Largest absolute value of an action, and of the mean of a step: actions are scaled to `[-1, 1]`.
const RANGE: f64 = 1.0;

/// Flow time of step `k` of `K`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StepTimes {
    /// `k / K`: the start of the step, where an Euler step takes the velocity.
    Start,
    /// `k / (K - 1)`: the last step at time 1, as the authors' code.
    Inclusive,
}

impl StepTimes {
    /// The time.
    pub fn at(self, k: usize, n_steps: usize) -> f64 {
        let steps = match self {
            Self::Start => n_steps,
            Self::Inclusive => n_steps.saturating_sub(1),
        };
        k as f64 / steps.max(1) as f64
    }
}

/// Switches of a chain.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rules {
    /// Flow times of the steps.
    pub times: StepTimes,
    /// Whether the mean of every step is clipped to the range of actions.
    pub clip_mean: bool,
    /// Largest absolute value of the standard normals.
    pub noise_clip: f64,
    /// Whether the last point is clipped to the range of actions before its likelihood is taken.
    pub clip_end: bool,
}

/// The chain of a policy:
///
/// ```text
/// x_0 ~ N(0, I)     m_k = clip(x_k + v(x_k, tau_k, s) / K, -1, 1)     x_(k+1) = m_k + sigma(tau_k, s) eps_k
/// ```
///
/// and the action `clip(x_K, -1, 1)`; arXiv 2505.22094, section 4.
#[derive(Debug, Clone, Copy)]
pub struct NoisyChain<'a> {
    /// The networks.
    pub nets: &'a NoisyFlow,
    /// Its switches.
    pub rules: Rules,
    /// Bounds of the noise.
    pub bounds: Bounds,
}

/// What a policy says of chains.
#[derive(Debug, Clone)]
pub struct Likelihood {
    /// `[log N(x_0; 0, I) + sum_k log N(x_(k+1); m_k, sigma_k^2)] / ((K + 1) A)` of each `[B]`.
    pub log_prob: Tensor,
    /// Mean over the rows of `[H(x_0) + sum_k H(x_(k+1) | x_k)] / ((K + 1) A)`: nats per coordinate.
    pub entropy: Tensor,
    /// Mean deviation of the noise.
    pub sigma: Tensor,
}

impl NoisyChain<'_> {
    fn steps(&self) -> usize {
        self.nets.actor.n_steps
    }

    /// `tau_k` of all steps `[K]`.
    fn times(&self, device: &Device) -> Result<Tensor> {
        let steps = self.steps();
        let times: Vec<f32> = (0..steps)
            .map(|k| self.rules.times.at(k, steps) as f32)
            .collect();
        Tensor::from_vec(times, steps, device)
    }

    /// `m_k` at points `x`.
    fn mean(&self, params: &Tensor, obs: &Tensor, x: &Tensor, tau: &Tensor) -> Result<Tensor> {
        let v = self.nets.velocity(params, obs, x, tau)?;
        let mean = (x + (v / self.steps() as f64)?)?;
        match self.rules.clip_mean {
            true => mean.clamp(-RANGE, RANGE),
            false => Ok(mean),
        }
    }

    /// The points `x_0 ..= x_K` that standard normals make: `x_0`, then `eps_0 .. eps_(K-1)`.
    ///
    /// # Shapes
    /// `params` `[N]`, `obs` `[B, o]`, `noise` `[B, K + 1, A]` to the same shape.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn sample(&self, params: &Tensor, obs: &Tensor, noise: &Tensor) -> Result<Tensor> {
        let times = self.times(obs.device())?;
        let mut x = point(noise, 0)?;
        let mut points = vec![x.clone()];
        for k in 0..self.steps() {
            let tau = times.narrow(0, k, 1)?;
            let mean = self.mean(params, obs, &x, &tau)?;
            let std = self.nets.log_std(params, obs, &tau, self.bounds)?.exp()?;
            let clip = self.rules.noise_clip;
            let eps = point(noise, k + 1)?.clamp(-clip, clip)?;
            x = (mean + (eps * std)?)?;
            points.push(x.clone());
        }
        if let Some(last) = points.last_mut().filter(|_| self.rules.clip_end) {
            *last = last.clamp(-RANGE, RANGE)?;
        }
        Tensor::stack(&points, 1)
    }

    /// The actions of chains.
    ///
    /// # Shapes
    /// `chain` `[B, K + 1, A]` to `[B, A]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn action(&self, chain: &Tensor) -> Result<Tensor> {
        point(chain, self.steps())?.clamp(-RANGE, RANGE)
    }

    /// The actions of the same steps without noise.
    ///
    /// # Shapes
    /// `params` `[N]`, `obs` `[B, o]`, `x_0` `[B, A]` to `[B, A]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn flow(&self, params: &Tensor, obs: &Tensor, x_0: &Tensor) -> Result<Tensor> {
        let times = self.times(obs.device())?;
        let end = (0..self.steps()).try_fold(x_0.clone(), |x, k| {
            self.mean(params, obs, &x, &times.narrow(0, k, 1)?)
        })?;
        end.clamp(-RANGE, RANGE)
    }

    /// Log-probabilities and entropy of given chains; differentiable in the parameters.
    ///
    /// # Shapes
    /// `params` `[N]`, `obs` `[B, o]`, `chain` `[B, K + 1, A]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn likelihood(&self, params: &Tensor, obs: &Tensor, chain: &Tensor) -> Result<Likelihood> {
        let (steps, (rows, _, width)) = (self.steps(), chain.dims3()?);
        let from = chain.narrow(1, 0, steps)?.flatten(0, 1)?;
        let to = chain.narrow(1, 1, steps)?.flatten(0, 1)?;
        let obs = repeat_rows(obs, steps)?;
        let tau = self.times(obs.device())?;
        let tau = tau.broadcast_as((rows, steps))?.flatten_all()?;
        let mean = self.mean(params, &obs, &from, &tau)?;
        let log_std = self.nets.log_std(params, &obs, &tau, self.bounds)?;
        let std = log_std.exp()?;
        let z = ((to - mean)? / &std)?;
        let moves = gaussian::log_density(&z, &log_std)?.reshape((rows, steps * width))?;
        let (x_0, one) = (point(chain, 0)?, Tensor::zeros_like(&point(chain, 0)?)?);
        let start = gaussian::log_density(&x_0, &one)?.sum(1)?;
        let scale = (((steps + 1) * width) as f64).recip();
        let entropy = (gaussian::entropy(&log_std)? + gaussian::entropy(&one)?)?;
        Ok(Likelihood {
            log_prob: ((start + moves.sum(1)?)? * scale)?,
            entropy: (entropy * (scale / rows as f64))?,
            sigma: std.detach().mean_all()?,
        })
    }
}

/// Point `k` of chains `[B, K + 1, A]`.
fn point(chain: &Tensor, k: usize) -> Result<Tensor> {
    chain.narrow(1, k, 1)?.squeeze(1)?.contiguous()
}
