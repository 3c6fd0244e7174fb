//! Truncation after a number of steps, as Gymnasium's wrapper of the same name.

use advect_rng::Stream;

use crate::state::{StateReader, StateWriter};
use crate::{Env, EnvError, EnvSpec, Image, Step};

/// Truncates episodes after the spec's `max_episode_steps` and refuses steps outside of an episode.
///
/// A step that terminates at the limit is both terminated and truncated, as in Gymnasium.
#[derive(Debug)]
pub struct TimeLimit<E> {
    env: E,
    spec: EnvSpec,
    /// Steps taken in the running episode; `None` outside of one.
    taken: Option<u32>,
}

impl<E: Env> TimeLimit<E> {
    /// Wraps `env`; the limit is that of its spec.
    pub fn new(env: E) -> Self {
        Self {
            spec: env.spec().clone(),
            env,
            taken: None,
        }
    }

    /// The same with another limit, or none.
    pub fn with_limit(mut self, limit: Option<u32>) -> Self {
        self.spec.max_episode_steps = limit;
        self
    }

    /// The same under another id.
    pub(crate) fn named(mut self, id: &str) -> Self {
        id.clone_into(&mut self.spec.id);
        self
    }

    /// The environment inside.
    pub fn inner(&self) -> &E {
        &self.env
    }

    /// Starts an episode by `start` instead of the environment's own `reset`: a chosen first state.
    ///
    /// # Errors
    /// What `start` returns.
    pub fn reset_with(
        &mut self,
        start: impl FnOnce(&mut E) -> Result<(), EnvError>,
    ) -> Result<(), EnvError> {
        self.taken = None;
        start(&mut self.env)?;
        self.taken = Some(0);
        Ok(())
    }
}

impl<E: Env> Env for TimeLimit<E> {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, rng: &mut Stream, obs: &mut [f64]) -> Result<(), EnvError> {
        self.spec().check_obs(obs)?;
        self.reset_with(|env| env.reset(rng, obs))
    }

    fn announce(&mut self, action: &[f32]) {
        if self.taken.is_some() {
            self.env.announce(action);
        }
    }

    fn step(&mut self, action: &[f32], obs: &mut [f64]) -> Result<Step, EnvError> {
        self.spec().check_action(action)?;
        self.spec().check_obs(obs)?;
        let Some(taken) = self.taken else {
            return Err(EnvError::NeedsReset {
                id: self.spec().id.clone(),
            });
        };
        let mut step = self.env.step(action, obs)?;
        let limit = self.spec().max_episode_steps;
        step.truncated |= limit.is_some_and(|limit| taken + 1 >= limit);
        self.taken = (!step.is_last()).then_some(taken + 1);
        Ok(step)
    }

    fn save_state(&self) -> Vec<u8> {
        StateWriter::new()
            .u8(u8::from(self.taken.is_some()))
            .u32(self.taken.unwrap_or(0))
            .block(&self.env.save_state())
            .finish()
    }

    fn load_state(&mut self, state: &[u8]) -> Result<(), EnvError> {
        let id = self.spec().id.clone();
        let mut reader = StateReader::new(&id, state);
        let running = reader.u8()?;
        let taken = reader.u32()?;
        let inner = reader.block()?;
        if running > 1 {
            return Err(reader.bad(format!("running flag is {running}")));
        }
        reader.finish()?;
        self.env.load_state(inner)?;
        self.taken = (running == 1).then_some(taken);
        Ok(())
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
