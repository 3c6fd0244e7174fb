//! Episodes of random actions, one after the other.

use advect_rng::Stream;

use crate::{Env, EnvError, Step};

/// An environment that takes uniform random actions and is reset at every end.
pub(super) struct Rollout {
    pub(super) env: Box<dyn Env>,
    /// Draws first states.
    resets: Stream,
    /// Draws actions.
    actions: Stream,
    /// The last observation that the environment wrote.
    pub(super) obs: Vec<f64>,
    pub(super) action: Vec<f32>,
    /// Steps in the running episode.
    pub(super) taken: u32,
}

impl Rollout {
    /// Resets `env`.
    pub(super) fn start(env: Box<dyn Env>, seed: u64) -> Result<Self, EnvError> {
        let spec = env.spec();
        let mut rollout = Self {
            obs: vec![f64::NAN; spec.obs_dim],
            action: vec![0.0; spec.act_dim],
            resets: Stream::new(seed, "check/resets"),
            actions: Stream::new(seed, "check/actions"),
            taken: 0,
            env,
        };
        rollout.reset()?;
        Ok(rollout)
    }

    /// Starts an episode; the buffer is filled with NaN before.
    pub(super) fn reset(&mut self) -> Result<(), EnvError> {
        self.obs.fill(f64::NAN);
        self.taken = 0;
        self.env.reset(&mut self.resets, &mut self.obs)
    }

    /// Draws the next action.
    fn draw(&mut self) {
        let spec = self.env.spec();
        let bounds = spec.act_low.iter().zip(&spec.act_high);
        for (action, (low, high)) in self.action.iter_mut().zip(bounds) {
            let share = self.actions.uniform_f64() as f32;
            *action = low + (high - low) * share;
        }
    }

    /// Takes a random action; the buffer is filled with NaN before. Does not reset.
    pub(super) fn step_only(&mut self) -> Result<Step, EnvError> {
        self.draw();
        self.obs.fill(f64::NAN);
        self.taken += 1;
        self.env.step(&self.action, &mut self.obs)
    }

    /// Takes a random action and resets where the episode ended.
    pub(super) fn step(&mut self) -> Result<Step, EnvError> {
        let step = self.step_only()?;
        if step.is_last() {
            self.reset()?;
        }
        Ok(step)
    }

    /// The observation's bits, to compare.
    pub(super) fn bits(&self) -> Vec<u64> {
        self.obs.iter().map(|value| value.to_bits()).collect()
    }
}
