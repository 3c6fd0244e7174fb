//! The same action several times.

use advect_rng::Stream;

use super::{at_least_one, every, step_through};
use crate::{Env, EnvError, EnvSpec, Image, Step};

/// Takes every action `count` times and adds the rewards; the episode may end before.
#[derive(Debug)]
pub struct ActionRepeat<E> {
    env: E,
    spec: EnvSpec,
    count: usize,
}

impl<E: Env> ActionRepeat<E> {
    /// Repeats the actions of `env`, which has its time limit already.
    ///
    /// # Errors
    /// [`EnvError::BadSetting`] if `count` is zero.
    pub fn new(env: E, count: usize) -> Result<Self, EnvError> {
        at_least_one(&env, "action repeat", count)?;
        let spec = every(env.spec(), count);
        Ok(Self { env, spec, count })
    }

    /// The environment inside.
    pub fn inner(&self) -> &E {
        &self.env
    }
}

impl<E: Env> Env for ActionRepeat<E> {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, rng: &mut Stream, obs: &mut [f64]) -> Result<(), EnvError> {
        self.env.reset(rng, obs)
    }

    /// The first of the steps; the others come one by one.
    fn announce(&mut self, action: &[f32]) {
        self.env.announce(action);
    }

    fn step(&mut self, action: &[f32], obs: &mut [f64]) -> Result<Step, EnvError> {
        let actions = std::iter::repeat_n(action, self.count);
        step_through(&mut self.env, actions, obs)
    }

    fn save_state(&self) -> Vec<u8> {
        self.env.save_state()
    }

    fn load_state(&mut self, state: &[u8]) -> Result<(), EnvError> {
        self.env.load_state(state)
    }

    fn is_success(&self) -> Option<bool> {
        self.env.is_success()
    }

    fn state_obs(&self) -> Option<&[f64]> {
        self.env.state_obs()
    }

    fn render(&self, width: usize, height: usize) -> Result<Image, EnvError> {
        self.env.render(width, height)
    }
}
