//! A flow policy in normalised coordinates: its network, its steps, and the bounds of the data that it learnt from.

use advect_flow::sampler::integrate;
use advect_flow::{Candidates, Grid, VelocityNet};
use advect_kernels::Precision;
use advect_rl::{StateDict, StateError};
use candle_core::{Result, Tensor};

use crate::dims::Dims;
use crate::min_max::MinMax;

/// What generates actions (rldt.md section 1): `x_(k+1) = x_k + v(x_k, k/K, s)/K`, observations and actions scaled to `[-1, 1]`.
#[derive(Debug, Clone, PartialEq)]
pub struct FlowActor {
    /// The velocity network.
    pub net: VelocityNet,
    /// Euler steps, `K`.
    pub n_steps: usize,
    /// Bounds of the observations.
    pub obs: MinMax,
    /// Bounds of the actions.
    pub act: MinMax,
}

impl FlowActor {
    /// A policy whose observations and actions need no scaling.
    pub fn new(net: VelocityNet, n_steps: usize, dims: Dims) -> Self {
        Self {
            net,
            n_steps,
            obs: MinMax::identity(dims.obs),
            act: MinMax::identity(dims.act),
        }
    }

    /// The field at `P` points per normalised state, without gradient.
    pub fn field<'a>(&'a self, params: &'a Tensor, obs: &'a Tensor) -> Candidates<'a, VelocityNet> {
        Candidates {
            net: &self.net,
            params,
            obs,
            precision: Precision::F32,
        }
    }

    /// Normalised actions of normalised states from noise, without gradient.
    ///
    /// # Shapes
    /// `params` `[N]`, `obs` `[B, o]`, `x_0` `[B, P, A]` to `[B, P, A]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn generate(&self, params: &Tensor, obs: &Tensor, x_0: &Tensor) -> Result<Tensor> {
        integrate(&self.field(params, obs), x_0, Grid::data_up(self.n_steps))
    }

    /// Actions of raw states in the environment's units, one each.
    ///
    /// # Shapes
    /// `params` `[N]`, `obs` `[n, o]`, `x_0` `[n, A]` to `[n, A]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn act(&self, params: &Tensor, obs: &Tensor, x_0: &Tensor) -> Result<Tensor> {
        let obs = self.obs.normalise(obs)?;
        let act = self.generate(params, &obs, &x_0.unsqueeze(1)?)?;
        self.act.restore(&act.squeeze(1)?)
    }

    /// Writes both bounds.
    pub fn save(&self, out: &mut StateDict) {
        self.obs.save("bounds/obs", out);
        self.act.save("bounds/act", out);
    }

    /// Continues from what [`FlowActor::save`] wrote.
    ///
    /// # Errors
    /// If an entry is missing or has another width.
    pub fn load(&mut self, from: &StateDict) -> std::result::Result<(), StateError> {
        self.obs.load("bounds/obs", from)?;
        self.act.load("bounds/act", from)
    }
}
