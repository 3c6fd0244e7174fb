//! Several actions, one after the other, as one.

use advect_rng::Stream;

use super::{at_least_one, every, step_through};
use crate::{Env, EnvError, EnvSpec, Image, Step};

/// Takes a chunk of actions `[horizon * act_dim]`, first action first, without looking at the observations between them.
///
/// The reward is the sum over the chunk. If the episode ends inside a chunk, the actions left are dropped.
#[derive(Debug)]
pub struct ActionChunk<E> {
    env: E,
    spec: EnvSpec,
}

impl<E: Env> ActionChunk<E> {
    /// Chunks of `horizon` actions of `env`, which has its time limit already.
    ///
    /// # Errors
    /// [`EnvError::BadSetting`] if `horizon` is zero.
    ///
    /// ```
    /// use advect_envs::wrappers::ActionChunk;
    /// use advect_envs::Env;
    /// let env = ActionChunk::new(advect_envs::make("Pendulum-v1")?, 4)?;
    /// assert_eq!((env.spec().act_dim, env.spec().max_episode_steps), (4, Some(50)));
    /// # Ok::<(), advect_envs::EnvError>(())
    /// ```
    pub fn new(env: E, horizon: usize) -> Result<Self, EnvError> {
        at_least_one(&env, "chunk length", horizon)?;
        let inner = env.spec();
        let spec = EnvSpec {
            act_dim: horizon * inner.act_dim,
            act_low: inner.act_low.repeat(horizon),
            act_high: inner.act_high.repeat(horizon),
            ..every(inner, horizon)
        };
        Ok(Self { env, spec })
    }

    /// The environment inside.
    pub fn inner(&self) -> &E {
        &self.env
    }
}

impl<E: Env> Env for ActionChunk<E> {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, rng: &mut Stream, obs: &mut [f64]) -> Result<(), EnvError> {
        self.env.reset(rng, obs)
    }

    /// The first action of the chunk; the others come one by one.
    fn announce(&mut self, action: &[f32]) {
        // a chunk of another length is one that `step` refuses
        if self.spec.check_action(action).is_ok() {
            self.env.announce(&action[..self.env.spec().act_dim]);
        }
    }

    fn step(&mut self, action: &[f32], obs: &mut [f64]) -> Result<Step, EnvError> {
        self.spec.check_action(action)?;
        let actions = action.chunks_exact(self.env.spec().act_dim);
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
