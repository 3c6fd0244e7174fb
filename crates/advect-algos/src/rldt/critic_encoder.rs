//! What the critics see of a state: their own encoder of frames, with a target (rldt.md section 6).

use advect_kernels::Params;
use advect_kernels::optim::AdamConfig;
use advect_rl::{Averaged, StateDict, StateError};
use candle_core::backprop::GradStore;
use candle_core::{Result, Tensor};

use crate::encoder::Encoder;
use crate::flow_actor::FlowActor;

/// Name of its parameters in a saved state.
const NAME: &str = "critic_encoder";

/// The encoder that both critics share; without frames, nothing.
#[derive(Debug)]
pub struct CriticEncoder {
    encoder: Encoder,
    params: Option<Averaged>,
}

impl CriticEncoder {
    /// A copy of the encoder in the actor's parameters.
    ///
    /// # Errors
    /// If the device fails.
    pub fn of(actor: &FlowActor, policy: &Params) -> Result<Self> {
        let layout = actor.encoder.layout();
        let own = |layout| -> Result<Averaged> {
            let values = actor.encoder_params(&policy.detached())?.to_vec1()?;
            let params = Params::from_vec(layout, None, values, policy.tensor().device())?;
            Averaged::new(params, AdamConfig::default())
        };
        let params = (!layout.is_empty()).then(|| own(layout)).transpose()?;
        Ok(Self {
            encoder: actor.encoder.clone(),
            params,
        })
    }

    /// States of scaled observations, differentiable in the parameters.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn online(&self, obs: &Tensor) -> Result<Tensor> {
        self.states(obs, |params| params.online.params().tensor().clone())
    }

    /// The same, a constant.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn fixed(&self, obs: &Tensor) -> Result<Tensor> {
        self.states(obs, |params| params.online.params().detached())
    }

    /// States of the target encoder, a constant.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn target(&self, obs: &Tensor) -> Result<Tensor> {
        self.states(obs, |params| params.average().detached())
    }

    fn states(&self, obs: &Tensor, of: impl Fn(&Averaged) -> Tensor) -> Result<Tensor> {
        match &self.params {
            None => Ok(obs.clone()),
            Some(params) => self.encoder.states(&of(params), obs),
        }
    }

    /// One Adam step down the critics' loss; nothing without frames.
    ///
    /// # Errors
    /// If the loss does not depend on the parameters.
    pub fn step(&mut self, gradients: &GradStore, lr: f64) -> Result<()> {
        if let Some(params) = &mut self.params {
            let gradient = params.online.gradient_in(gradients)?;
            params.online.step(&gradient, lr)?;
        }
        Ok(())
    }

    /// `target <- (1 - tau) target + tau online`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn update_target(&self, tau: f64) -> Result<()> {
        let params = self.params.as_ref();
        params.map_or(Ok(()), |params| params.update_average(tau))
    }

    /// Online parameters and target, for a hash over both.
    pub fn buffers(&self) -> Vec<&Params> {
        let params = self.params.as_ref();
        params.map_or(Vec::new(), |params| params.buffers().to_vec())
    }

    /// Writes parameters, target and optimiser, if there are any.
    ///
    /// # Errors
    /// If the device cannot be read.
    pub fn save(&self, out: &mut StateDict) -> std::result::Result<(), StateError> {
        let params = self.params.as_ref();
        params.map_or(Ok(()), |params| params.save(NAME, out))
    }

    /// Continues from what [`CriticEncoder::save`] wrote.
    ///
    /// # Errors
    /// If an entry is missing or has another shape.
    pub fn load(&mut self, from: &StateDict) -> std::result::Result<(), StateError> {
        let params = self.params.as_mut();
        params.map_or(Ok(()), |params| params.load(NAME, from))
    }
}
