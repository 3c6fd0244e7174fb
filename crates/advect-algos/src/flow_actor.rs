//! A flow policy in normalised coordinates: its networks, its steps, and the bounds of the data that it learnt from.

use advect_flow::sampler::integrate;
use advect_flow::{Candidates, Grid, VelocityNet};
use advect_kernels::{ParamLayout, Precision};
use advect_rl::{StateDict, StateError};
use candle_core::{Result, Tensor};

use crate::dims::{Dims, Task};
use crate::encoder::{Encoder, ImageNetwork};
use crate::flow_network::FlowNetwork;
use crate::min_max::MinMax;

/// The entry with channels, rows and columns of the frames, where there are any.
pub(crate) const IMAGE: &str = "image";

/// What generates actions (rldt.md section 1): `x_(k+1) = x_k + v(x_k, k/K, s)/K`, observations and actions scaled to `[-1, 1]`; `s` is the
/// observation, or features of its frames and the numbers behind them.
///
/// The parameters are those of the velocity network, then those of the encoder.
#[derive(Debug, Clone, PartialEq)]
pub struct FlowActor {
    /// The velocity network.
    pub net: VelocityNet,
    /// What makes states of observations.
    pub encoder: Encoder,
    /// Euler steps, `K`.
    pub n_steps: usize,
    /// Bounds of the observations, pixels left out.
    pub obs: MinMax,
    /// Largest size of a scaled number of an observation; 0 is without a limit.
    pub obs_clip: f64,
    /// Bounds of the actions.
    pub act: MinMax,
}

impl FlowActor {
    /// A policy whose observations and actions need no scaling.
    ///
    /// # Errors
    /// If a width is zero, or frames are too small.
    pub fn new(
        task: Task,
        network: &FlowNetwork,
        image: &ImageNetwork,
        n_steps: usize,
    ) -> Result<Self> {
        let encoder = Encoder::of(task, image)?;
        let dims = Dims {
            obs: encoder.width(),
            act: task.dims.act,
        };
        Ok(Self {
            net: network.build(dims)?,
            n_steps,
            obs: MinMax::identity(encoder.numbers()),
            obs_clip: 0.0,
            act: MinMax::identity(dims.act),
            encoder,
        })
    }

    /// The same with scaled observations cut at this size; 0 is without a limit.
    #[must_use]
    pub fn clipped(self, obs_clip: f64) -> Self {
        Self { obs_clip, ..self }
    }

    /// Names and shapes of all parameters, in order.
    pub fn layout(&self) -> ParamLayout {
        let mut layout = (**self.net.layout()).clone();
        for entry in self.encoder.layout().entries() {
            layout.push(entry.name.clone(), &entry.shape);
        }
        layout
    }

    /// The velocity network's part of `params`.
    ///
    /// # Errors
    /// If `params` are too few.
    pub fn velocity_params(&self, params: &Tensor) -> Result<Tensor> {
        match &self.encoder {
            Encoder::Identity(_) => Ok(params.clone()),
            Encoder::Image(_) => params.narrow(0, 0, self.net.layout().len()),
        }
    }

    /// The encoder's part of `params`, none for a state.
    ///
    /// # Errors
    /// If `params` are too few.
    pub fn encoder_params(&self, params: &Tensor) -> Result<Tensor> {
        params.narrow(0, self.net.layout().len(), self.encoder.layout().len())
    }

    /// Observations with everything scaled but pixels: what [`FlowActor::states`] takes.
    ///
    /// # Shapes
    /// `obs` `[B, o]`, and the result of the same shape.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn scaled(&self, obs: &Tensor) -> Result<Tensor> {
        let scaled = |numbers: &Tensor| match self.obs_clip {
            0.0 => self.obs.normalise(numbers),
            clip => self.obs.normalise(numbers)?.clamp(-clip, clip),
        };
        self.encoder.scale(scaled, obs)
    }

    /// What the velocity network is conditioned on, `[B, s]`, differentiable in `params`; made once per observation and shared by its
    /// particles and steps.
    ///
    /// # Shapes
    /// `params` `[N]`, `obs` `[B, o]` of [`FlowActor::scaled`].
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn states(&self, params: &Tensor, obs: &Tensor) -> Result<Tensor> {
        match &self.encoder {
            Encoder::Identity(_) => Ok(obs.clone()),
            Encoder::Image(_) => self.encoder.states(&self.encoder_params(params)?, obs),
        }
    }

    /// The field at `P` points per state, without gradient; `velocity` are those of [`FlowActor::velocity_params`].
    pub fn field<'a>(
        &'a self,
        velocity: &'a Tensor,
        states: &'a Tensor,
    ) -> Candidates<'a, VelocityNet> {
        Candidates {
            net: &self.net,
            params: velocity,
            obs: states,
            precision: Precision::F32,
        }
    }

    /// Normalised actions of scaled observations from noise, without gradient.
    ///
    /// # Shapes
    /// `params` `[N]`, `obs` `[B, o]`, `x_0` `[B, P, A]` to `[B, P, A]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn generate(&self, params: &Tensor, obs: &Tensor, x_0: &Tensor) -> Result<Tensor> {
        let (velocity, states) = (self.velocity_params(params)?, self.states(params, obs)?);
        let field = self.field(&velocity, &states);
        integrate(&field, x_0, Grid::data_up(self.n_steps))
    }

    /// Actions of raw observations in the environment's units, one each.
    ///
    /// # Shapes
    /// `params` `[N]`, `obs` `[n, o]`, `x_0` `[n, A]` to `[n, A]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn act(&self, params: &Tensor, obs: &Tensor, x_0: &Tensor) -> Result<Tensor> {
        let act = self.generate(params, &self.scaled(obs)?, &x_0.unsqueeze(1)?)?;
        self.act.restore(&act.squeeze(1)?)
    }

    /// Writes both bounds, and the sizes of the frames if there are any.
    pub fn save(&self, out: &mut StateDict) {
        self.obs.save("bounds/obs", out);
        self.act.save("bounds/act", out);
        if let Some(sizes) = self.encoder.image() {
            out.put_vec(IMAGE, sizes.map(|size| size as u64).to_vec());
        }
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
