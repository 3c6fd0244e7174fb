//! Velocity and mean-velocity networks: a trunk over observation, latent action and embedded flow times.
//!
//! A network owns its layout only; parameters are passed in as the flat tensor `[P]` of a
//! [`Params`](advect_kernels::Params) buffer, so that online, target and EMA copies share one network value.

mod at_times;
mod config;
mod inputs;
mod pullback;
mod trunk;

use std::ops::Range;
use std::sync::Arc;

use advect_kernels::{Activation, Context, Mlp, ParamLayout, Precision};
use candle_core::{Result, Tensor};

use crate::error::{expect_dims, shape_error};
pub(crate) use at_times::AtTimes;
pub use config::{InputOrder, NetConfig, RldtNet, TrunkConfig};
use trunk::Trunk;

/// A field `f_theta(s, z, t_1..t_T)` over observation, latent action and `T` flow times.
///
/// Every time is `[B]`, or `[1]` for one time shared by all rows. Parameters come in the order times, observation encoder
/// (where there is one), trunk.
#[derive(Debug, Clone, PartialEq)]
pub struct FlowNet<const T: usize> {
    config: NetConfig,
    time_ranges: [Range<usize>; T],
    cond: Option<Mlp>,
    cond_range: Range<usize>,
    trunk: Trunk,
    trunk_range: Range<usize>,
    layout: Arc<ParamLayout>,
}

/// Velocity field `v_theta(s, z, tau)` of a rectified flow, data-up time; times are `[tau]`.
///
/// Parameters: `{prefix}.time.{0,1}`, `{prefix}.cond.{i}`, then the trunk as [`TrunkConfig`] says (flame.md section 2,
/// rldt.md section 6).
pub type VelocityNet = FlowNet<1>;

/// Average velocity `u_theta(s, z, r, t)` of MeanFlow, noise-up time, `r <= t`; times are `[r, t]`.
///
/// Parameters: `{prefix}.time_r.{0,1}`, `{prefix}.time_t.{0,1}`, `{prefix}.cond.{i}`, then the trunk as [`TrunkConfig`]
/// says (flame.md section 2).
pub type MeanVelocityNet = FlowNet<2>;

/// A direction in the inputs `(z, t_1..t_T)` of a [`FlowNet`].
#[derive(Debug, Clone, Copy)]
pub struct Tangent<'a, const T: usize> {
    /// Direction of the latent, `[B, d]`.
    pub z: &'a Tensor,
    /// Rate of every time.
    pub times: [f64; T],
}

impl VelocityNet {
    /// A network of the given sizes.
    ///
    /// # Errors
    /// If a width is zero.
    pub fn new(config: &NetConfig) -> Result<Self> {
        Self::with_times(config, ["time"])
    }

    /// The embedding of flow times that the trunk sees, differentiable in `params`.
    ///
    /// # Shapes
    /// `params` `[P]`, `tau` `[B]` to `[B, e]` with `e` of [`VelocityNet::time_width`].
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn time_embedding(&self, params: &Tensor, tau: &Tensor) -> Result<Tensor> {
        let [range] = &self.time_ranges;
        self.config.time.forward(&slice(params, range)?, tau)
    }

    /// Width of the embedding of a flow time.
    pub fn time_width(&self) -> usize {
        self.config.time.dim()
    }
}

impl MeanVelocityNet {
    /// A network of the given sizes.
    ///
    /// # Errors
    /// If a width is zero.
    pub fn new(config: &NetConfig) -> Result<Self> {
        Self::with_times(config, ["time_r", "time_t"])
    }
}

impl<const T: usize> FlowNet<T> {
    fn with_times(config: &NetConfig, time_names: [&str; T]) -> Result<Self> {
        let mut layout = ParamLayout::new();
        let time_ranges = time_names.map(|name| {
            let start = layout.len();
            let name = format!("{}.{name}", config.prefix);
            config.time.push_layout(&mut layout, &name);
            start..layout.len()
        });
        let cond = encoder(config)?;
        let start = layout.len();
        if let Some(cond) = &cond {
            cond.push_layout(&mut layout, &format!("{}.cond", config.prefix));
        }
        let cond_range = start..layout.len();
        let inputs = config.encoded_obs_dim() + config.act_dim + T * config.time.dim();
        let trunk = Trunk::new(&config.trunk, inputs, config.act_dim)?;
        trunk.push_layout(&mut layout, &config.prefix);
        Ok(Self {
            config: config.clone(),
            time_ranges,
            cond,
            trunk_range: cond_range.end..layout.len(),
            cond_range,
            trunk,
            layout: Arc::new(layout),
        })
    }

    /// Names and shapes of the parameters, in order.
    pub fn layout(&self) -> &Arc<ParamLayout> {
        &self.layout
    }

    /// Width of the action.
    pub fn act_dim(&self) -> usize {
        self.config.act_dim
    }

    /// `f_theta(obs, z, times)`, differentiable in `params` and `z`.
    ///
    /// # Shapes
    /// `params` `[P]`, `obs` `[B, o]`, `z` `[B, d]`, `times` `[B]` or `[1]` to `[B, d]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn forward(
        &self,
        params: &Tensor,
        obs: &Tensor,
        z: &Tensor,
        times: [&Tensor; T],
    ) -> Result<Tensor> {
        if params.track_op() && self.is_of_params(obs, z) {
            return self.forward_in_params(params, obs, z, times);
        }
        let x = self.input(params, obs, z, times)?;
        self.trunk.forward(&self.trunk_params(params)?, &x)
    }

    /// [`FlowNet::forward`] and the derivative along `tangent`, which has no gradient: `(f, f')`, both `[B, d]`. One pass serves both where
    /// nobody differentiates in `obs` and `z`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn forward_with_tangent(
        &self,
        params: &Tensor,
        obs: &Tensor,
        z: &Tensor,
        times: [&Tensor; T],
        tangent: Tangent<'_, T>,
    ) -> Result<(Tensor, Tensor)> {
        if self.is_of_params(obs, z) {
            return self.in_params_with_tangent(params, obs, z, times, tangent);
        }
        let (_, tangent) = self.jvp(params, obs, z, times, tangent)?;
        Ok((self.forward(params, obs, z, times)?, tangent))
    }

    /// Whether gradients of a pass go to the parameters alone, by kernels alone.
    fn is_of_params(&self, obs: &Tensor, z: &Tensor) -> bool {
        !obs.track_op() && !z.track_op() && !self.config.time.is_normed()
    }

    /// Value and derivative along `tangent`, without gradient: `(f, f')`, both `[B, d]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn jvp(
        &self,
        params: &Tensor,
        obs: &Tensor,
        z: &Tensor,
        times: [&Tensor; T],
        tangent: Tangent<'_, T>,
    ) -> Result<(Tensor, Tensor)> {
        let params = params.detach();
        let (x, x_dot) = self.input_with_dot(&params, obs, z, times, tangent)?;
        self.trunk.jvp(&self.trunk_params(&params)?, &x, &x_dot)
    }

    /// As [`FlowNet::jvp`] along `z_dot` with the times held, differentiable in `params`, `z` and `z_dot`:
    /// gradients of a divergence.
    ///
    /// # Errors
    /// On a shape mismatch, and if the trunk is residual.
    pub fn jvp_tracked(
        &self,
        params: &Tensor,
        obs: &Tensor,
        z: &Tensor,
        times: [&Tensor; T],
        z_dot: &Tensor,
    ) -> Result<(Tensor, Tensor)> {
        expect_dims("velocity network", "z_dot", z_dot, z.dims())?;
        let x = self.input(params, obs, z, times)?;
        let width = T * self.config.time.dim();
        let still_times = Tensor::zeros((z.dim(0)?, width), z.dtype(), z.device())?;
        let x_dot = self.join(&self.still_obs(obs)?, z_dot, &[still_times])?;
        self.trunk
            .jvp_tracked(&self.trunk_params(params)?, &x, &x_dot)
    }

    /// Value `[B, d]` and Jacobian `df/dz` `[B, d, d]` (row = output), without gradient.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn jacobian(
        &self,
        params: &Tensor,
        obs: &Tensor,
        z: &Tensor,
        times: [&Tensor; T],
    ) -> Result<(Tensor, Tensor)> {
        let params = params.detach();
        let x = self.input(&params, obs, z, times)?;
        self.trunk.jacobian(
            &self.trunk_params(&params)?,
            &x,
            self.slot(),
            self.config.act_dim,
        )
    }

    /// Fields of `P` latents per state, without gradient, in `precision`; observation and times enter the first layer
    /// once per state.
    ///
    /// # Shapes
    /// `obs` `[B, o]`, `z` `[B, P, d]`, `times` `[B]` or `[1]` to `[B, P, d]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn candidates(
        &self,
        params: &Tensor,
        obs: &Tensor,
        z: &Tensor,
        times: [&Tensor; T],
        precision: Precision,
    ) -> Result<Tensor> {
        self.check(params, obs, z)?;
        let params = params.detach();
        let embedded = self.embed(&params, times)?;
        let obs = self.encode(&params, &obs.detach())?;
        let embedded: Vec<&Tensor> = embedded.iter().collect();
        let [before, behind] = self.around(&obs, &embedded);
        let context = Context {
            before: &before,
            behind: &behind,
        };
        let own = self.trunk_params(&params)?;
        self.trunk.forward_shared(&own, context, z, precision)
    }

    /// First input column of `z`.
    fn slot(&self) -> usize {
        match self.config.order {
            InputOrder::ObsFirst => self.config.encoded_obs_dim(),
            InputOrder::LatentFirst | InputOrder::LatentTimeObs => 0,
        }
    }

    fn check(&self, params: &Tensor, obs: &Tensor, z: &Tensor) -> Result<()> {
        expect_dims("velocity network", "params", params, &[self.layout.len()])?;
        let rows = obs.dims().first().copied().unwrap_or(0);
        expect_dims("velocity network", "obs", obs, &[rows, self.config.obs_dim])?;
        if z.dims().first() != Some(&rows) || z.dims().last() != Some(&self.config.act_dim) {
            let expected = format!("[{rows}, .., {}]", self.config.act_dim);
            return Err(shape_error("velocity network", "z", z.dims(), expected));
        }
        Ok(())
    }

    fn trunk_params(&self, params: &Tensor) -> Result<Tensor> {
        slice(params, &self.trunk_range)
    }
}

/// The observation encoder, Mish between its layers.
fn encoder(config: &NetConfig) -> Result<Option<Mlp>> {
    if config.cond.is_empty() {
        return Ok(None);
    }
    let sizes = [&[config.obs_dim], config.cond.as_slice()].concat();
    Mlp::new(&sizes, Activation::Mish).map(Some)
}

fn slice(params: &Tensor, range: &Range<usize>) -> Result<Tensor> {
    if range.is_empty() {
        Ok(params.clone())
    } else {
        params.narrow(0, range.start, range.len())
    }
}
