//! The last observations at once.

use std::ops::Range;

use advect_rng::Stream;

use super::at_least_one;
use crate::state::{StateReader, StateWriter};
use crate::{Env, EnvError, EnvSpec, GoalLayout, Image, ImageShape, Step};

/// Observations `[count * obs_dim]`: the last `count` of the environment inside, oldest first.
///
/// An episode starts with its first observation `count` times. Goals are those of the newest observation.
#[derive(Debug)]
pub struct FrameStack<E> {
    env: E,
    spec: EnvSpec,
    frames: Vec<f64>,
}

impl<E: Env> FrameStack<E> {
    /// Stacks `count` observations of `env`.
    ///
    /// # Errors
    /// [`EnvError::BadSetting`] if `count` is zero.
    pub fn new(env: E, count: usize) -> Result<Self, EnvError> {
        at_least_one(&env, "frame stack", count)?;
        let inner = env.spec();
        let newest = (count - 1) * inner.obs_dim;
        let spec = EnvSpec {
            obs_dim: count * inner.obs_dim,
            goal: inner.goal.as_ref().map(|goal| shifted(goal, newest)),
            image: stacked(inner, count),
            ..inner.clone()
        };
        let frames = vec![0.0; spec.obs_dim];
        Ok(Self { env, spec, frames })
    }

    /// The environment inside.
    pub fn inner(&self) -> &E {
        &self.env
    }
}

/// Frames behind each other are one frame with more channels, unless something else stands between them.
fn stacked(inner: &EnvSpec, count: usize) -> Option<ImageShape> {
    let only = inner.image.filter(|image| image.len() == inner.obs_dim)?;
    Some(ImageShape {
        channels: count * only.channels,
        ..only
    })
}

fn shifted(goal: &GoalLayout, by: usize) -> GoalLayout {
    let shift = |range: &Range<usize>| range.start + by..range.end + by;
    GoalLayout {
        achieved: shift(&goal.achieved),
        desired: shift(&goal.desired),
    }
}

impl<E: Env> Env for FrameStack<E> {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, rng: &mut Stream, obs: &mut [f64]) -> Result<(), EnvError> {
        self.spec.check_obs(obs)?;
        let dim = self.env.spec().obs_dim;
        self.env.reset(rng, &mut self.frames[..dim])?;
        let (first, rest) = self.frames.split_at_mut(dim);
        rest.chunks_exact_mut(dim)
            .for_each(|frame| frame.copy_from_slice(first));
        obs.copy_from_slice(&self.frames);
        Ok(())
    }

    fn announce(&mut self, action: &[f32]) {
        self.env.announce(action);
    }

    fn step(&mut self, action: &[f32], obs: &mut [f64]) -> Result<Step, EnvError> {
        self.spec.check_obs(obs)?;
        self.spec.check_action(action)?;
        let dim = self.env.spec().obs_dim;
        self.frames.copy_within(dim.., 0);
        let newest = self.spec.obs_dim - dim;
        let step = self.env.step(action, &mut self.frames[newest..])?;
        obs.copy_from_slice(&self.frames);
        Ok(step)
    }

    fn save_state(&self) -> Vec<u8> {
        StateWriter::new()
            .f64s(&self.frames)
            .block(&self.env.save_state())
            .finish()
    }

    fn load_state(&mut self, state: &[u8]) -> Result<(), EnvError> {
        let id = self.spec.id.clone();
        let mut reader = StateReader::new(&id, state);
        let mut frames = vec![0.0; self.frames.len()];
        reader.f64s(&mut frames)?;
        let inner = reader.block()?;
        reader.finish()?;
        self.env.load_state(inner)?;
        self.frames = frames;
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
