//! What an environment is: its trait, its specification and what a step returns.

use std::ops::Range;

use advect_rng::Stream;

use crate::{EnvError, Image, ImageShape};

/// Where the observation of a goal-conditioned task keeps its goals; the rest is what Gymnasium calls `observation`.
///
/// Gymnasium returns these tasks' observations as a dictionary of `observation`, `achieved_goal` and `desired_goal`. Here they
/// lie in one slice, in this order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GoalLayout {
    /// What the goal is compared with.
    pub achieved: Range<usize>,
    /// The goal.
    pub desired: Range<usize>,
}

/// Names, sizes and bounds of an environment.
#[derive(Debug, Clone, PartialEq)]
pub struct EnvSpec {
    /// Id, Gymnasium's where Gymnasium has the task (`HalfCheetah-v5`).
    pub id: String,
    /// Length of an observation.
    pub obs_dim: usize,
    /// Length of an action.
    pub act_dim: usize,
    /// Lower bound of each action coordinate.
    pub act_low: Vec<f32>,
    /// Upper bound of each action coordinate.
    pub act_high: Vec<f32>,
    /// Steps after which an episode is truncated, if it is.
    pub max_episode_steps: Option<u32>,
    /// Mean return at which the task counts as solved, where Gymnasium's registry has one.
    pub reward_threshold: Option<f64>,
    /// The goals in the observation, if the task has them.
    pub goal: Option<GoalLayout>,
    /// The frames that the observation begins with, if it does; numbers of another kind may follow.
    pub image: Option<ImageShape>,
}

impl EnvSpec {
    /// The spec of a task whose action coordinates all lie in `[-bound, bound]`.
    pub fn symmetric(id: &str, obs_dim: usize, act_dim: usize, bound: f32) -> Self {
        Self {
            id: id.to_owned(),
            obs_dim,
            act_dim,
            act_low: vec![-bound; act_dim],
            act_high: vec![bound; act_dim],
            max_episode_steps: None,
            reward_threshold: None,
            goal: None,
            image: None,
        }
    }

    /// The same spec with a time limit.
    pub fn with_time_limit(mut self, steps: u32) -> Self {
        self.max_episode_steps = Some(steps);
        self
    }

    /// Checks the length of an action.
    ///
    /// # Errors
    /// [`EnvError::BadLength`].
    pub fn check_action(&self, action: &[f32]) -> Result<(), EnvError> {
        self.check_len("action", self.act_dim, action.len())
    }

    /// Checks the length of an observation buffer.
    ///
    /// # Errors
    /// [`EnvError::BadLength`].
    pub fn check_obs(&self, obs: &[f64]) -> Result<(), EnvError> {
        self.check_len("observation", self.obs_dim, obs.len())
    }

    pub(crate) fn check_len(
        &self,
        what: &'static str,
        wanted: usize,
        found: usize,
    ) -> Result<(), EnvError> {
        if wanted == found {
            return Ok(());
        }
        Err(EnvError::BadLength {
            id: self.id.clone(),
            what,
            wanted,
            found,
        })
    }
}

/// What a step returns beside the observation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Step {
    /// The reward of the transition.
    pub reward: f64,
    /// The task ended in a terminal state: there is no value after it.
    pub terminated: bool,
    /// The episode was cut off (time limit): the value after it is that of the observation.
    pub truncated: bool,
}

impl Step {
    /// A step that neither terminates nor truncates.
    pub fn running(reward: f64) -> Self {
        Self {
            reward,
            terminated: false,
            truncated: false,
        }
    }

    /// A step that terminates where `terminated` holds.
    pub fn ending(reward: f64, terminated: bool) -> Self {
        Self {
            terminated,
            ..Self::running(reward)
        }
    }

    /// Whether the episode is over, for whichever reason.
    pub fn is_last(&self) -> bool {
        self.terminated || self.truncated
    }
}

/// One environment, writing into buffers of the caller.
///
/// Two environments in the same state (see [`Env::save_state`]) that are sent the same actions and
/// the same streams return the same bits.
pub trait Env: Send {
    /// Names, sizes and bounds.
    fn spec(&self) -> &EnvSpec;

    /// Starts an episode, drawing its first state from `rng`, and writes the first observation `[obs_dim]`.
    ///
    /// # Errors
    /// [`EnvError::BadLength`], or what the simulator reports.
    fn reset(&mut self, rng: &mut Stream, obs: &mut [f64]) -> Result<(), EnvError>;

    /// Says which action the next [`Env::step`] will be given, before any environment of its thread is stepped.
    ///
    /// Environments that share a process send their actions together. All others need not know: the default does
    /// nothing. A step need not be announced; one that was is followed by that step, or by a reset.
    fn announce(&mut self, action: &[f32]) {
        let _ = action;
    }

    /// Takes one action `[act_dim]` in the units of the spec's bounds and writes the next observation `[obs_dim]`.
    ///
    /// # Errors
    /// [`EnvError::BadLength`], [`EnvError::NeedsReset`], or what the simulator reports.
    fn step(&mut self, action: &[f32], obs: &mut [f64]) -> Result<Step, EnvError>;

    /// Everything that a bit-exact continuation needs, time-limit counter included.
    fn save_state(&self) -> Vec<u8>;

    /// Continues from bytes that [`Env::save_state`] of the same environment made.
    ///
    /// # Errors
    /// [`EnvError::BadState`] if the bytes are not such a state.
    fn load_state(&mut self, state: &[u8]) -> Result<(), EnvError>;

    /// Whether the task has been achieved: in the current state, or at some time of the episode for tasks that add up what is done.
    /// `None` for tasks without such a notion, whose return says everything.
    fn is_success(&self) -> Option<bool> {
        None
    }

    /// The observation of the task inside, where a wrapper shows frames in its place: what an expert acts on. As of the last reset or step.
    fn state_obs(&self) -> Option<&[f64]> {
        None
    }

    /// Draws the current state into a frame of this size. It changes nothing: a run with frames has the same bits as one without.
    ///
    /// # Errors
    /// [`EnvError::NotRendered`] by default, [`EnvError::BadFrame`], [`EnvError::EglUnavailable`], [`EnvError::EglFailed`].
    // A method with a default and no trait of its own: `make` returns a `Box<dyn Env>`, from which a second trait could not be reached,
    // and environments written elsewhere stay as they are.
    fn render(&self, width: usize, height: usize) -> Result<Image, EnvError> {
        let _ = (width, height);
        Err(EnvError::NotRendered {
            id: self.spec().id.clone(),
        })
    }
}

impl<E: Env + ?Sized> Env for Box<E> {
    fn spec(&self) -> &EnvSpec {
        (**self).spec()
    }

    fn reset(&mut self, rng: &mut Stream, obs: &mut [f64]) -> Result<(), EnvError> {
        (**self).reset(rng, obs)
    }

    fn announce(&mut self, action: &[f32]) {
        (**self).announce(action);
    }

    fn step(&mut self, action: &[f32], obs: &mut [f64]) -> Result<Step, EnvError> {
        (**self).step(action, obs)
    }

    fn save_state(&self) -> Vec<u8> {
        (**self).save_state()
    }

    fn load_state(&mut self, state: &[u8]) -> Result<(), EnvError> {
        (**self).load_state(state)
    }

    fn is_success(&self) -> Option<bool> {
        (**self).is_success()
    }

    fn state_obs(&self) -> Option<&[f64]> {
        (**self).state_obs()
    }

    fn render(&self, width: usize, height: usize) -> Result<Image, EnvError> {
        (**self).render(width, height)
    }
}
