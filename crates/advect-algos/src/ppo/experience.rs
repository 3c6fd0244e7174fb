//! A rollout as the networks see it.

use advect_rl::advantage::{Rollout, gae, next_values};
use candle_core::Tensor;

use super::config::PpoConfig;

/// A rollout in the units of the networks, without its rewards.
#[derive(Debug, Clone)]
pub struct Experience {
    /// Normalised observations, each with the statistics of its time `[T E, o]`.
    pub obs: Tensor,
    /// The true next observations, likewise `[T E, o]`.
    pub next_obs: Tensor,
    /// Actions as they were drawn `[T E, d]`.
    pub act: Tensor,
    /// 1 where an episode terminated `[T E]`.
    pub terminated: Vec<f32>,
    /// 1 where an episode was cut off `[T E]`.
    pub truncated: Vec<f32>,
    /// Environments, whose rows alternate.
    pub num_envs: usize,
}

impl Experience {
    /// Whether each row ended its episode.
    pub fn ended(&self) -> Vec<bool> {
        let flags = self.terminated.iter().zip(&self.truncated);
        flags.map(|(a, b)| *a > 0.0 || *b > 0.0).collect()
    }

    /// Advantages from the values of the observations and, at ends, of the true next observations.
    ///
    /// # Shapes
    /// `reward`, `value` and `at_end` have `T E` values, and so has the result.
    pub fn advantages(
        &self,
        reward: &[f32],
        value: &[f32],
        at_end: &[f32],
        config: &PpoConfig,
    ) -> Vec<f32> {
        let next_value = next_values(value, at_end, &self.ended(), self.num_envs);
        let rollout = Rollout {
            reward,
            value,
            next_value: &next_value,
            terminated: &self.terminated,
            truncated: &self.truncated,
            num_envs: self.num_envs,
        };
        gae(
            &rollout,
            config.gamma,
            config.gae_lambda,
            config.time_limits,
        )
    }
}
