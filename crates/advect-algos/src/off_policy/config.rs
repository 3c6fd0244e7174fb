//! The settings that every algorithm with a replay has.

use advect_rl::{Data, LoopSettings, ReplaySettings};
use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

use crate::error::AlgoError;
use crate::validate::{at_least_one, unit_interval};

/// Environment steps at the time of an update, after `n` others: `first + every floor(n / per)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counting {
    /// At the first update.
    pub first: u64,
    /// Of a vector step.
    pub every: u64,
    /// Updates after every vector step.
    pub per: u64,
}

/// Data collection, replay, discount and moving average. Each algorithm gives its own defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DocumentedFields)]
pub struct OffPolicyConfig {
    /// Environments that step together, `E`; with one update per vector step, updates to data is `1/E`.
    pub num_envs: usize,
    /// Transitions of uniform random actions before the agent acts.
    pub warmup_transitions: u64,
    /// Whether the warm-up counts as environment steps.
    pub warmup_counts: bool,
    /// Updates after every vector step.
    pub updates_per_vector_step: u32,
    /// Transitions in a minibatch, `B`.
    pub batch_size: usize,
    /// Transitions that the replay keeps.
    pub replay_capacity: usize,
    /// Discount.
    pub gamma: f64,
    /// Step of the exponential moving averages (target critics, averaged policies).
    pub ema_tau: f64,
}

impl Default for OffPolicyConfig {
    /// What most papers use: one environment, 10,000 random transitions, one update per step, batch 256, replay 1e6,
    /// discount 0.99, moving average 0.005.
    fn default() -> Self {
        Self {
            num_envs: 1,
            warmup_transitions: 10_000,
            warmup_counts: true,
            updates_per_vector_step: 1,
            batch_size: 256,
            replay_capacity: 1_000_000,
            gamma: 0.99,
            ema_tau: 0.005,
        }
    }
}

impl OffPolicyConfig {
    /// What the training loop has to know.
    pub fn loop_settings(&self) -> LoopSettings {
        LoopSettings {
            num_envs: self.num_envs,
            clip_actions: false,
            data: Data::Replay(ReplaySettings {
                warmup_transitions: self.warmup_transitions,
                warmup_counts: self.warmup_counts,
                updates_per_vector_step: self.updates_per_vector_step,
                batch_size: self.batch_size,
                capacity: self.replay_capacity,
            }),
        }
    }

    /// Environment steps taken at the time of an update, after `updates` others.
    pub fn env_step(&self, updates: u64) -> u64 {
        let Counting { first, every, per } = self.counting();
        first + every * (updates / per)
    }

    /// How environment steps go with updates.
    pub fn counting(&self) -> Counting {
        let envs = self.num_envs.max(1) as u64;
        let warmup = if self.warmup_counts {
            self.warmup_transitions.next_multiple_of(envs)
        } else {
            0
        };
        Counting {
            first: warmup + envs,
            every: envs,
            per: u64::from(self.updates_per_vector_step.max(1)),
        }
    }

    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// [`AlgoError::Value`] with the key, what is wrong and the fix.
    pub fn validate(&self) -> Result<(), AlgoError> {
        at_least_one(&[
            ("num_envs", self.num_envs as u64),
            (
                "updates_per_vector_step",
                self.updates_per_vector_step.into(),
            ),
            ("batch_size", self.batch_size as u64),
            ("replay_capacity", self.replay_capacity as u64),
        ])?;
        unit_interval(&[("gamma", self.gamma), ("ema_tau", self.ema_tau)])
    }
}
