//! What acts in episodes outside of training: an agent, an expert written by hand, chance.

use advect_envs::experts::Expert;
use advect_envs::{Env, EnvSpec};
use advect_rng::Stream;
use candle_core::Device;

use crate::acting::{choose_bounded, unscale_actions};
use crate::agent::{ActMode, Agent};
use crate::error::TrainError;

/// Acts in one episode after the other.
pub trait Behaviour {
    /// An episode begins.
    fn begin(&mut self) {}

    /// Whether it acts on the state where the environment shows frames, see [`Env::state_obs`].
    fn sees_state(&self) -> bool {
        false
    }

    /// The action `[d]` for the observation `[o]`, in units in which the environment's box is `[-1, 1]^d`.
    ///
    /// # Errors
    /// What the agent or the expert reports.
    fn act(&mut self, spec: &EnvSpec, obs: &[f64]) -> Result<Vec<f32>, TrainError>;
}

/// What `behaviour` acts on where the observation of `env` is `obs`.
pub(crate) fn seen<'a>(behaviour: &dyn Behaviour, env: &'a dyn Env, obs: &'a [f64]) -> &'a [f64] {
    let state = env.state_obs().filter(|_| behaviour.sees_state());
    state.unwrap_or(obs)
}

/// A trained agent.
pub struct ByAgent<'a> {
    /// Who acts; its [`Agent::begin_evaluation`] is the caller's.
    pub agent: &'a mut dyn Agent,
    /// With or without exploration.
    pub mode: ActMode,
    /// Where the agent computes.
    pub device: &'a Device,
}

impl Behaviour for ByAgent<'_> {
    fn act(&mut self, spec: &EnvSpec, obs: &[f64]) -> Result<Vec<f32>, TrainError> {
        let obs = obs.iter().map(|value| *value as f32).collect();
        choose_bounded(self.agent, spec, obs, self.mode, self.device)
    }
}

/// Uniform random actions.
#[derive(Debug)]
pub struct ByChance(pub Stream);

impl Behaviour for ByChance {
    fn act(&mut self, spec: &EnvSpec, _: &[f64]) -> Result<Vec<f32>, TrainError> {
        let mut act = vec![0.0; spec.act_dim];
        self.0.fill_uniform_range(-1.0, 1.0, &mut act);
        Ok(act)
    }
}

/// A controller written by hand.
pub struct ByExpert(pub Box<dyn Expert>);

impl Behaviour for ByExpert {
    fn begin(&mut self) {
        self.0.reset();
    }

    fn sees_state(&self) -> bool {
        true
    }

    fn act(&mut self, spec: &EnvSpec, obs: &[f64]) -> Result<Vec<f32>, TrainError> {
        let mut act = vec![0.0; spec.act_dim];
        self.0.act(obs, &mut act)?;
        unscale_actions(spec, &mut act);
        Ok(act)
    }
}

/// Another behaviour with noise: `clip(a + std N(0, 1), +-1)`.
pub struct Noisy<B> {
    /// Whose actions.
    pub inner: B,
    /// Standard deviation in units in which the environment's box is `[-1, 1]^d`; at 0 nothing is drawn or clipped.
    pub std: f32,
    /// Where the noise comes from.
    pub stream: Stream,
}

impl<B: Behaviour> Behaviour for Noisy<B> {
    fn begin(&mut self) {
        self.inner.begin();
    }

    fn sees_state(&self) -> bool {
        self.inner.sees_state()
    }

    fn act(&mut self, spec: &EnvSpec, obs: &[f64]) -> Result<Vec<f32>, TrainError> {
        let mut act = self.inner.act(spec, obs)?;
        if self.std > 0.0 {
            let mut noise = vec![0.0; act.len()];
            self.stream.fill_normal(&mut noise);
            for (a, noise) in act.iter_mut().zip(noise) {
                *a = (*a + self.std * noise).clamp(-1.0, 1.0);
            }
        }
        Ok(act)
    }
}

impl<B: Behaviour + ?Sized> Behaviour for Box<B> {
    fn sees_state(&self) -> bool {
        (**self).sees_state()
    }

    fn begin(&mut self) {
        (**self).begin();
    }

    fn act(&mut self, spec: &EnvSpec, obs: &[f64]) -> Result<Vec<f32>, TrainError> {
        (**self).act(spec, obs)
    }
}
