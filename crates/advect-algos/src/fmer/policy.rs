//! The policy: Euler steps in an unbounded latent space, squashed by tanh (fmer.md section 2).

use advect_flow::sampler::{integrate, trajectory};
use advect_flow::{Candidates, Grid, NetConfig, VelocityNet};
use advect_kernels::{Activation, Precision, pointwise};
use candle_core::{Result, Tensor};

/// The velocity network `v_theta(u, tau, s)` of section 2.3, inputs `[u, s, Fourier(tau)]`.
///
/// # Errors
/// If a width is zero.
pub fn network(
    obs_dim: usize,
    act_dim: usize,
    hidden: &[usize],
    activation: Activation,
    n_freq: usize,
) -> Result<VelocityNet> {
    let config = NetConfig::fmer(obs_dim, act_dim, hidden, activation, n_freq);
    VelocityNet::new(&config)
}

/// How latents are generated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Sampler {
    /// Euler steps, `N`.
    pub n_steps: usize,
    /// Bound of the final latent.
    pub latent_clip: f64,
    /// Arithmetic.
    pub precision: Precision,
}

/// Latents with the points that led to them.
#[derive(Debug, Clone)]
pub struct Rollout {
    /// `u_0 .. u_(N-1)` at the times `n/N`, each `[B, K, d]`; empty if they were not asked for.
    pub nodes: Vec<Tensor>,
    /// `u_N` before the clamp `[B, K, d]`.
    pub end: Tensor,
}

impl Sampler {
    /// `u_(n+1) = u_n + (1/N) v(u_n, n/N, s)` from `u_0 = z`, the last one clamped; without gradient.
    ///
    /// # Shapes
    /// `params` `[P]`, `obs` `[B, o]`, `z` `[B, K, d]` to `[B, K, d]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn latents(
        &self,
        net: &VelocityNet,
        params: &Tensor,
        obs: &Tensor,
        z: &Tensor,
    ) -> Result<Tensor> {
        let end = integrate(&self.field(net, params, obs), z, self.grid())?;
        self.clamp(&end)
    }

    /// As [`Sampler::latents`] before the clamp, and keeps the points before every step if `keep` says so.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn rollout(
        &self,
        net: &VelocityNet,
        params: &Tensor,
        obs: &Tensor,
        z: &Tensor,
        keep: bool,
    ) -> Result<Rollout> {
        let field = self.field(net, params, obs);
        if !keep {
            let (nodes, end) = (Vec::new(), integrate(&field, z, self.grid())?);
            return Ok(Rollout { nodes, end });
        }
        let mut nodes = trajectory(&field, z, self.grid())?;
        let end = nodes.pop().unwrap_or_else(|| z.clone());
        Ok(Rollout { nodes, end })
    }

    /// The final latent within its bound, any shape.
    ///
    /// # Errors
    /// If the device fails.
    pub fn clamp(&self, latent: &Tensor) -> Result<Tensor> {
        pointwise::clamp(latent, -self.latent_clip, self.latent_clip)
    }

    fn grid(&self) -> Grid {
        Grid::data_up(self.n_steps)
    }

    fn field<'a>(
        &self,
        net: &'a VelocityNet,
        params: &'a Tensor,
        obs: &'a Tensor,
    ) -> Candidates<'a, VelocityNet> {
        Candidates {
            net,
            params,
            obs,
            precision: self.precision,
        }
    }
}
