//! The tanh-squashed Gaussian policy.

use advect_kernels::{Activation, Mlp, ParamLayout, Pullback, squashed as kernel};
use candle_core::{Result, Tensor};

use crate::gaussian;
use crate::imitation::{Student, halves};
use crate::squash::{log_tanh_slope, unsquash};

/// Bounds of `log sigma`.
const LOG_STD: (f32, f32) = (-20.0, 2.0);
const GAUSSIAN: kernel::Squashed = kernel::Squashed { log_std: LOG_STD };

/// `a = tanh(mu(s) + sigma(s) eps)`; one head of width `2 d`, means first.
#[derive(Debug, Clone, PartialEq)]
pub struct GaussianPolicy {
    mlp: Mlp,
    act_dim: usize,
}

/// A sampled action; differentiable in the policy's parameters.
#[derive(Debug, Clone)]
pub struct Sample {
    /// `tanh(mu + sigma eps)` `[B, d]`.
    pub action: Tensor,
    /// `log pi(action | s)` `[B]`.
    pub log_prob: Tensor,
}

/// From cotangents of actions and log-densities to one of the policy's parameters.
#[derive(Debug)]
pub struct SamplePullback {
    network: Pullback,
    head: Tensor,
    eps: Tensor,
}

impl SamplePullback {
    /// The gradient in the parameters `[N]`; `action` `[B, d]`, `log_prob` `[B]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn params(self, action: &Tensor, log_prob: &Tensor) -> Result<Tensor> {
        let head = GAUSSIAN.gradient(&self.head, &self.eps, action, log_prob)?;
        self.network.params(&head)
    }
}

impl GaussianPolicy {
    /// A policy with hidden widths `hidden`, ReLU.
    ///
    /// # Errors
    /// If a width is zero.
    pub fn new(obs_dim: usize, act_dim: usize, hidden: &[usize]) -> Result<Self> {
        let sizes = [&[obs_dim], hidden, &[2 * act_dim]].concat();
        Ok(Self {
            mlp: Mlp::new(&sizes, Activation::Relu)?,
            act_dim,
        })
    }

    /// Entries `actor.{i}.weight` and `actor.{i}.bias`.
    pub fn layout(&self) -> ParamLayout {
        let mut layout = ParamLayout::new();
        self.mlp.push_layout(&mut layout, "actor");
        layout
    }

    /// `(mu, log sigma)`, the latter clipped to `[-20, 2]`, both `[B, d]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn moments(&self, params: &Tensor, obs: &Tensor) -> Result<(Tensor, Tensor)> {
        let out = self.mlp.forward(params, obs)?;
        let log_std = out
            .narrow(1, self.act_dim, self.act_dim)?
            .clamp(LOG_STD.0, LOG_STD.1)?;
        Ok((out.narrow(1, 0, self.act_dim)?, log_std))
    }

    /// A reparameterised action from standard normals `eps`, with
    /// `log pi = sum_i [-eps^2/2 - log sigma - log(2 pi)/2 - 2 (log 2 - u - softplus(-2 u))]`.
    ///
    /// # Shapes
    /// `params` `[N]`, `obs` `[B, o]`, `eps` `[B, d]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn sample(&self, params: &Tensor, obs: &Tensor, eps: &Tensor) -> Result<Sample> {
        let head = self.mlp.forward(params, obs)?;
        let (action, log_prob) = GAUSSIAN.sample(&head, eps)?;
        Ok(Sample { action, log_prob })
    }

    /// The same, and the gradient in the parameters on demand.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn sample_with_pullback(
        &self,
        params: &Tensor,
        obs: &Tensor,
        eps: &Tensor,
    ) -> Result<(Sample, SamplePullback)> {
        let (head, network) = self.mlp.forward_with_pullback(params, obs)?;
        let (action, log_prob) = GAUSSIAN.sample(&head, eps)?;
        let eps = eps.clone();
        let pullback = SamplePullback { network, head, eps };
        Ok((Sample { action, log_prob }, pullback))
    }

    /// The action of an evaluation, `tanh mu` `[B, d]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn mode(&self, params: &Tensor, obs: &Tensor) -> Result<Tensor> {
        self.moments(params, obs)?.0.tanh()
    }
}

/// The policy under given parameters, as a discriminator sees it.
#[derive(Debug, Clone, Copy)]
pub struct Squashed<'a> {
    /// Its shape.
    pub policy: &'a GaussianPolicy,
    /// Its parameters `[N]`.
    pub params: &'a Tensor,
}

impl Student for Squashed<'_> {
    /// `tanh mu(s)`.
    fn mean(&self, obs: &Tensor) -> Result<Tensor> {
        self.policy.mode(self.params, obs)
    }

    /// `log N(u; mu, sigma) - log(1 - tanh(u)^2)` at `u = atanh a`.
    fn log_prob(&self, x: &Tensor) -> Result<Tensor> {
        let (obs, act) = halves(x, self.policy.act_dim)?;
        let (mean, log_std) = self.policy.moments(&self.params.detach(), &obs)?;
        let u = unsquash(&act)?;
        let z = ((&u - mean)? / log_std.exp()?)?;
        (gaussian::log_density(&z, &log_std)? - log_tanh_slope(&u)?)?.sum(1)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn log_prob_of_an_action_is_that_of_its_sample() -> Result<()> {
        let policy = GaussianPolicy::new(2, 2, &[4])?;
        let count = policy.layout().len();
        let values: Vec<f32> = (0..count).map(|i| (i as f32 * 0.7).sin() * 0.5).collect();
        let params = Tensor::from_vec(values, count, &Device::Cpu)?;
        let obs = Tensor::new(&[[0.3f32, -1.0], [2.0, 0.1]], &Device::Cpu)?;
        let eps = Tensor::new(&[[0.5f32, -0.2], [-1.0, 1.5]], &Device::Cpu)?;
        let sample = policy.sample(&params, &obs, &eps)?;
        let squashed = Squashed {
            policy: &policy,
            params: &params,
        };
        let found = squashed.log_prob(&Tensor::cat(&[&obs, &sample.action], 1)?)?;
        let error = (found - sample.log_prob)?.abs()?.max_all()?;
        assert!(error.to_scalar::<f32>()? < 1e-4, "{error}");
        Ok(())
    }

    #[test]
    fn density_of_the_squashed_gaussian_integrates_to_one() -> Result<()> {
        let policy = GaussianPolicy::new(1, 1, &[4])?;
        let count = policy.layout().len();
        let values: Vec<f32> = (0..count).map(|i| (i as f32 * 0.7).sin() * 0.5).collect();
        let params = Tensor::from_vec(values, count, &Device::Cpu)?;
        // Equal masses of eps: the mean of p(a) |da/du| sigma / phi(eps) must be one, i.e. the change of variables is exact.
        let eps: Vec<f32> = (-300..=300).map(|i| i as f32 * 0.01).collect();
        let n = eps.len();
        let obs = Tensor::full(0.3f32, (n, 1), &Device::Cpu)?;
        let sample = policy.sample(&params, &obs, &Tensor::from_vec(eps, (n, 1), &Device::Cpu)?)?;
        let actions = sample.action.flatten_all()?.to_vec1::<f32>()?;
        let density: Vec<f32> = sample.log_prob.exp()?.to_vec1()?;
        let mass: f32 = (1..n)
            .map(|i| 0.5 * (density[i] + density[i - 1]) * (actions[i] - actions[i - 1]))
            .sum();
        assert!(
            (mass - 0.9973).abs() < 2e-3,
            "mass within three deviations: {mass}"
        );
        Ok(())
    }
}
