//! Transitions recorded one after the other.

use super::{Dataset, Frames};
use crate::ImageShape;

/// Makes a [`Dataset`] transition by transition.
#[derive(Debug, Clone, Default)]
pub struct Builder {
    dataset: Dataset,
    start: usize,
}

impl Builder {
    /// Nothing recorded yet.
    pub fn new(env: &str, obs_dim: usize, act_dim: usize) -> Self {
        Self::for_env(Some(env.to_owned()), obs_dim, act_dim)
    }

    /// The same whose observations begin with frames of this shape, if any; `obs_dim` counts their numbers too.
    #[must_use]
    pub fn with_image(mut self, image: Option<ImageShape>) -> Self {
        if let Some(shape) = image {
            self.dataset.obs_dim = self.dataset.obs_dim.saturating_sub(shape.len());
            self.dataset.frames = Some(Frames::new(shape));
        }
        self
    }

    pub(super) fn for_env(env: Option<String>, obs_dim: usize, act_dim: usize) -> Self {
        let dataset = Dataset {
            env,
            obs_dim,
            act_dim,
            ..Dataset::default()
        };
        Self { dataset, start: 0 }
    }

    /// Numbers of an observation and of an action.
    pub(super) fn dims(&self) -> (usize, usize) {
        (self.dataset.obs_dim, self.dataset.act_dim)
    }

    /// Records a transition of the running episode; one that terminates ends the episode.
    pub fn push(
        &mut self,
        obs: &[f32],
        act: &[f32],
        reward: f32,
        next_obs: &[f32],
        terminated: bool,
    ) {
        let (obs, next_obs) = match &mut self.dataset.frames {
            Some(frames) => frames.take(obs, next_obs),
            None => (obs, next_obs),
        };
        self.dataset.obs.extend_from_slice(obs);
        self.dataset.act.extend_from_slice(act);
        self.dataset.reward.push(reward);
        self.dataset.next_obs.extend_from_slice(next_obs);
        self.dataset.terminated.push(terminated);
        if terminated {
            self.end_episode();
        }
    }

    /// Ends the running episode, which was cut off if its last transition did not terminate. Does nothing without transitions.
    pub fn end_episode(&mut self) {
        let end = self.dataset.len();
        if end > self.start {
            self.dataset.episodes.push(self.start..end);
            self.start = end;
        }
    }

    /// Transitions recorded.
    pub fn len(&self) -> usize {
        self.dataset.len()
    }

    /// Whether nothing is recorded.
    pub fn is_empty(&self) -> bool {
        self.dataset.is_empty()
    }

    /// The dataset; an episode that still runs is cut off here.
    pub fn finish(mut self) -> Dataset {
        self.end_episode();
        self.dataset
    }
}
