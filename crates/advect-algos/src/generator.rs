//! Policies that are flows: the networks that FLAME and FPMD share, and how they generate.

use std::sync::Arc;

use advect_flow::sampler::integrate;
use advect_flow::{Candidates, FlowNet, Grid, MeanVelocityNet, NetConfig, StepTimes, VelocityNet};
use advect_kernels::{ParamLayout, Precision};
use candle_core::{Result, Tensor};

/// Which flow is the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Variant {
    /// MeanFlow: average velocity, noise-up time.
    M,
    /// Rectified flow: velocity, data-up time.
    R,
}

/// `u_theta(s, z, r, t)` or `v_theta(s, z, tau)` (flame.md section 2).
#[derive(Debug, Clone, PartialEq)]
pub enum Generator {
    /// MeanFlow.
    M(MeanVelocityNet),
    /// Rectified flow.
    R(VelocityNet),
}

impl Generator {
    /// The network of a variant: Mish, hidden widths `hidden`, FLAME's time embedding.
    ///
    /// # Errors
    /// If a width is zero.
    pub fn new(variant: Variant, obs_dim: usize, act_dim: usize, hidden: &[usize]) -> Result<Self> {
        let config = NetConfig::flame(obs_dim, act_dim, hidden)?;
        Ok(match variant {
            Variant::M => Self::M(MeanVelocityNet::new(&config)?),
            Variant::R => Self::R(VelocityNet::new(&config)?),
        })
    }

    /// Names and shapes of the parameters, in order.
    pub fn layout(&self) -> &Arc<ParamLayout> {
        match self {
            Self::M(net) => net.layout(),
            Self::R(net) => net.layout(),
        }
    }

    /// `P` unclipped actions per state from source noise `z`, without gradient (flame.md section 6).
    ///
    /// # Shapes
    /// `params` `[N]`, `obs` `[B, o]`, `z` `[B, P, d]` to `[B, P, d]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn candidates(
        &self,
        params: &Tensor,
        obs: &Tensor,
        z: &Tensor,
        n_gen: usize,
        precision: Precision,
    ) -> Result<Tensor> {
        match self {
            Self::M(net) => along(net, params, obs, z, Grid::downwards(n_gen), precision),
            Self::R(net) => along(net, params, obs, z, Grid::data_up(n_gen), precision),
        }
    }
}

fn along<const T: usize>(
    net: &FlowNet<T>,
    params: &Tensor,
    obs: &Tensor,
    z: &Tensor,
    grid: Grid,
    precision: Precision,
) -> Result<Tensor>
where
    FlowNet<T>: StepTimes<T>,
{
    let field = Candidates {
        net,
        params,
        obs,
        precision,
    };
    integrate(&field, z, grid)
}
