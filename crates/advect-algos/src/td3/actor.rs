//! The deterministic policy and its loss.

use advect_kernels::{Activation, Mlp, ParamLayout};
use candle_core::{Result, Tensor};

/// `a = tanh(f(s))`.
#[derive(Debug, Clone, PartialEq)]
pub struct TanhPolicy {
    mlp: Mlp,
}

impl TanhPolicy {
    /// A policy with hidden widths `hidden`, ReLU.
    ///
    /// # Errors
    /// If a width is zero.
    pub fn new(obs_dim: usize, act_dim: usize, hidden: &[usize]) -> Result<Self> {
        let sizes = [&[obs_dim], hidden, &[act_dim]].concat();
        let mlp = Mlp::new(&sizes, Activation::Relu)?;
        Ok(Self { mlp })
    }

    /// Entries `actor.{i}.weight` and `actor.{i}.bias`.
    pub fn layout(&self) -> ParamLayout {
        let mut layout = ParamLayout::new();
        self.mlp.push_layout(&mut layout, "actor");
        layout
    }

    /// The action; differentiable in the parameters.
    ///
    /// # Shapes
    /// `params` `[N]`, `obs` `[B, o]` to `[B, d]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn action(&self, params: &Tensor, obs: &Tensor) -> Result<Tensor> {
        self.mlp.forward(params, obs)?.tanh()
    }
}

/// `-mean_b Q_1(s, pi(s))`: the deterministic policy gradient is that of the first critic alone.
///
/// # Shapes
/// `q` `[B]` to a scalar.
///
/// # Errors
/// If the device fails.
pub fn loss(q: &Tensor) -> Result<Tensor> {
    q.mean_all()?.neg()
}
