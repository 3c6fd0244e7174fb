//! Velocity and mean-velocity networks: an MLP over observation, latent action and embedded flow times.
//!
//! A network owns its layout only; parameters are passed in as the flat tensor `[P]` of a
//! [`Params`](advect_kernels::Params) buffer, so that online, target and EMA copies share one network value.

use std::ops::Range;
use std::sync::Arc;

use advect_kernels::{Activation, Mlp, ParamLayout, Precision};
use candle_core::{Result, Tensor};

use crate::error::{expect_dims, shape_error};
use crate::time_embedding::{TimeEmbedding, TimeFeatures};

/// Order of the trunk's input columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum InputOrder {
    /// `[obs, z, e(t)]` (FLAME).
    #[default]
    ObsFirst,
    /// `[z, obs, e(t)]` (FMER, FM-IRL).
    LatentFirst,
    /// `[z, e(t), obs]` (QVPO, DIPO).
    LatentTimeObs,
}

/// Sizes and parts of a (mean-)velocity network.
#[derive(Debug, Clone, PartialEq)]
pub struct NetConfig {
    /// First part of every parameter name.
    pub prefix: String,
    /// Width of the observation.
    pub obs_dim: usize,
    /// Width of the action, and of the velocity.
    pub act_dim: usize,
    /// Hidden widths of the trunk.
    pub hidden: Vec<usize>,
    /// Activation of the trunk.
    pub activation: Activation,
    /// Order of the trunk's inputs.
    pub order: InputOrder,
    /// Embedding of every flow time; each time has its own parameters.
    pub time: TimeEmbedding,
}

impl NetConfig {
    /// FLAME's network (flame.md section 2): Mish, `[obs, z, e]`, sinusoid of width 16 with its MLP.
    ///
    /// # Errors
    /// None for these widths.
    pub fn flame(obs_dim: usize, act_dim: usize, hidden: &[usize]) -> Result<Self> {
        Ok(Self {
            prefix: "policy".into(),
            obs_dim,
            act_dim,
            hidden: hidden.to_vec(),
            activation: Activation::Mish,
            order: InputOrder::ObsFirst,
            time: TimeEmbedding::flame()?,
        })
    }

    /// FMER's network (fmer.md section 2.3): `[u, s, e]`, `n_freq` Fourier frequencies and the time itself.
    pub fn fmer(
        obs_dim: usize,
        act_dim: usize,
        hidden: &[usize],
        activation: Activation,
        n_freq: usize,
    ) -> Self {
        Self {
            prefix: "policy".into(),
            obs_dim,
            act_dim,
            hidden: hidden.to_vec(),
            activation,
            order: InputOrder::LatentFirst,
            time: TimeEmbedding::fourier(n_freq),
        }
    }

    /// QVPO's noise-prediction network (baselines.md section 2): Mish, `[z, e, obs]`, the step's index in a sinusoid of
    /// width `time_dim`, then `time_dim` to `time_hidden` (Mish) to `time_dim`.
    ///
    /// # Errors
    /// If `time_dim` is below two or `time_hidden` is zero.
    pub fn denoiser(
        obs_dim: usize,
        act_dim: usize,
        hidden: &[usize],
        time_dim: usize,
        time_hidden: usize,
    ) -> Result<Self> {
        let features = TimeFeatures::rldt(time_dim);
        Ok(Self {
            order: InputOrder::LatentTimeObs,
            time: TimeEmbedding::with_mlp(features, time_hidden, time_dim, Activation::Mish)?,
            ..Self::flame(obs_dim, act_dim, hidden)?
        })
    }
}

/// A field `f_theta(s, z, t_1..t_T)` over observation, latent action and `T` flow times.
///
/// Every time is `[B]`, or `[1]` for one time shared by all rows.
#[derive(Debug, Clone, PartialEq)]
pub struct FlowNet<const T: usize> {
    config: NetConfig,
    time_ranges: [Range<usize>; T],
    trunk: Mlp,
    trunk_range: Range<usize>,
    layout: Arc<ParamLayout>,
}

/// Velocity field `v_theta(s, z, tau)` of a rectified flow, data-up time; times are `[tau]`.
///
/// Parameters: `{prefix}.time.{0,1}`, then the trunk `{prefix}.{i}` (flame.md section 2).
pub type VelocityNet = FlowNet<1>;

/// Average velocity `u_theta(s, z, r, t)` of MeanFlow, noise-up time, `r <= t`; times are `[r, t]`.
///
/// Parameters: `{prefix}.time_r.{0,1}`, `{prefix}.time_t.{0,1}`, then the trunk `{prefix}.{i}` (flame.md section 2).
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
        let inputs = config.obs_dim + config.act_dim + T * config.time.dim();
        let sizes = [&[inputs], config.hidden.as_slice(), &[config.act_dim]].concat();
        let trunk = Mlp::new(&sizes, config.activation)?;
        let start = layout.len();
        trunk.push_layout(&mut layout, &config.prefix);
        let trunk_range = start..layout.len();
        Ok(Self {
            config: config.clone(),
            time_ranges,
            trunk,
            trunk_range,
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
        let x = self.input(params, obs, z, times)?;
        self.trunk.forward(&self.trunk_params(params)?, &x)
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
    /// On a shape mismatch.
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
        let x_dot = self.join(&obs.zeros_like()?, &[z_dot], &[still_times])?;
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
        let embedded = self.embed(&params, times, obs.dim(0)?)?;
        let context = self.join(&obs.detach(), &[], &embedded)?;
        self.trunk.forward_shared(
            &self.trunk_params(&params)?,
            &context,
            z,
            self.slot(),
            precision,
        )
    }

    /// First input column of `z`.
    fn slot(&self) -> usize {
        match self.config.order {
            InputOrder::ObsFirst => self.config.obs_dim,
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

    /// Embedded times, each `[rows, e]`; a time of shape `[1]` is embedded once and repeated.
    fn embed(&self, params: &Tensor, times: [&Tensor; T], rows: usize) -> Result<Vec<Tensor>> {
        let embed = |(t, range): (&Tensor, &Range<usize>)| {
            let embedding = self.config.time.forward(&slice(params, range)?, t)?;
            repeat_rows(&embedding, rows)
        };
        times
            .into_iter()
            .zip(&self.time_ranges)
            .map(embed)
            .collect()
    }

    /// The trunk's input row in the configured order; without `z`, the columns that the candidates of a state share.
    fn join(&self, obs: &Tensor, z: &[&Tensor], embedded: &[Tensor]) -> Result<Tensor> {
        let (obs, z, times) = (vec![obs], z.to_vec(), embedded.iter().collect());
        let parts = match self.config.order {
            InputOrder::ObsFirst => [obs, z, times],
            InputOrder::LatentFirst => [z, obs, times],
            InputOrder::LatentTimeObs => [z, times, obs],
        };
        Tensor::cat(&parts.concat(), 1)
    }

    fn input(
        &self,
        params: &Tensor,
        obs: &Tensor,
        z: &Tensor,
        times: [&Tensor; T],
    ) -> Result<Tensor> {
        self.check(params, obs, z)?;
        self.join(obs, &[z], &self.embed(params, times, obs.dim(0)?)?)
    }

    /// Input row and its tangent, observation held.
    fn input_with_dot(
        &self,
        params: &Tensor,
        obs: &Tensor,
        z: &Tensor,
        times: [&Tensor; T],
        tangent: Tangent<'_, T>,
    ) -> Result<(Tensor, Tensor)> {
        self.check(params, obs, z)?;
        expect_dims("velocity network", "z_dot", tangent.z, z.dims())?;
        let rows = obs.dim(0)?;
        let (mut values, mut dots) = (Vec::new(), Vec::new());
        for ((t, range), rate) in times.iter().zip(&self.time_ranges).zip(tangent.times) {
            let embedding = &self.config.time;
            let (value, dot) = embedding.forward_with_dot(&slice(params, range)?, t)?;
            values.push(repeat_rows(&value, rows)?);
            dots.push(repeat_rows(&(dot * rate)?, rows)?);
        }
        let still = obs.zeros_like()?;
        Ok((
            self.join(obs, &[z], &values)?,
            self.join(&still, &[tangent.z], &dots)?,
        ))
    }
}

fn slice(params: &Tensor, range: &Range<usize>) -> Result<Tensor> {
    if range.is_empty() {
        Ok(params.clone())
    } else {
        params.narrow(0, range.start, range.len())
    }
}

fn repeat_rows(row: &Tensor, rows: usize) -> Result<Tensor> {
    match row.dims2()? {
        (1, width) => row.broadcast_as((rows, width)),
        _ => Ok(row.clone()),
    }
}
