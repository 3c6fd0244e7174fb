//! The velocity network and the noise network in one buffer.

use std::ops::Range;
use std::sync::Arc;

use advect_kernels::ParamLayout;
use advect_kernels::params::slice_params;
use candle_core::{Result, Tensor};

use super::noise::{Bounds, NoiseNet};
use crate::dims::Dims;
use crate::flow_actor::FlowActor;

/// A flow policy and the size of the noise of its steps. The first parameters are those of the flow, in the order of its pretraining.
#[derive(Debug, Clone, PartialEq)]
pub struct NoisyFlow {
    /// The flow policy.
    pub actor: FlowActor,
    noise: NoiseNet,
    flow_params: Range<usize>,
    noise_params: Range<usize>,
    layout: Arc<ParamLayout>,
}

impl NoisyFlow {
    /// A flow with a noise network of these hidden widths.
    ///
    /// # Errors
    /// If a width is zero.
    pub fn new(actor: FlowActor, dims: Dims, hidden: &[usize]) -> Result<Self> {
        let noise = NoiseNet::new(actor.net.time_width(), dims.obs, hidden, dims.act)?;
        let mut layout = actor.layout();
        let flow = layout.len();
        noise.push_layout(&mut layout, "noise");
        Ok(Self {
            actor,
            noise,
            flow_params: 0..flow,
            noise_params: flow..layout.len(),
            layout: Arc::new(layout),
        })
    }

    /// The entries of the velocity network, then `noise.{i}.weight` and `noise.{i}.bias`.
    pub fn layout(&self) -> &Arc<ParamLayout> {
        &self.layout
    }

    /// Shape of the standard normals of `rows` chains: `x_0` and one per step, `[rows, K + 1, A]`.
    pub fn noise_shape(&self, rows: usize) -> (usize, usize, usize) {
        (rows, self.actor.n_steps + 1, self.actor.act.width())
    }

    /// `v(x, tau, s)`; differentiable in the parameters.
    ///
    /// # Shapes
    /// `params` `[N]`, `obs` `[B, o]`, `x` `[B, A]`, `tau` `[B]` or `[1]` to `[B, A]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn velocity(
        &self,
        params: &Tensor,
        obs: &Tensor,
        x: &Tensor,
        tau: &Tensor,
    ) -> Result<Tensor> {
        let own = slice_params(params, self.flow_params.clone())?;
        self.actor.net.forward(&own, obs, x, [tau])
    }

    /// `log sigma(tau, s)`; differentiable in the parameters of the noise network. It sees flow time through the embedding of the
    /// velocity network, which is a constant here.
    ///
    /// # Shapes
    /// `params` `[N]`, `obs` `[B, o]`, `tau` `[B]` or `[1]` to `[B, A]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn log_std(
        &self,
        params: &Tensor,
        obs: &Tensor,
        tau: &Tensor,
        bounds: Bounds,
    ) -> Result<Tensor> {
        let flow = slice_params(&params.detach(), self.flow_params.clone())?;
        let embedded = self.actor.net.time_embedding(&flow, tau)?;
        let shape = (obs.dim(0)?, self.actor.net.time_width());
        let own = slice_params(params, self.noise_params.clone())?;
        let embedded = embedded.broadcast_as(shape)?;
        self.noise.log_std(&own, &embedded, obs, bounds)
    }
}
