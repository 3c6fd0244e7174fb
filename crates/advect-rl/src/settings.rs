//! What an algorithm asks of the training loop.

use crate::error::TrainError;

/// What the training loop has to know of an algorithm.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoopSettings {
    /// Environments that step together, `E`.
    pub num_envs: usize,
    /// Whether the environment is given the nearest action in its box; the data keep the action as the agent returned it.
    pub clip_actions: bool,
    /// What an update learns from.
    pub data: Data,
}

/// Where the rows of an update come from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Data {
    /// Minibatches from a replay of the past, after a warm-up of random actions.
    Replay(ReplaySettings),
    /// Rollouts: `steps` vector steps (`steps E` transitions) are collected, then one update gets the last `keep` rollouts, the fresh
    /// one last.
    Rollout {
        /// Vector steps of a rollout.
        steps: usize,
        /// Rollouts that an update gets, the fresh one included; 1 where only the present policy's count.
        keep: usize,
    },
    /// Minibatches of the demonstrations that [`Agent::prepare`](crate::Agent::prepare) read: no environment is stepped, a step is
    /// one update, and environments serve evaluations only.
    Demonstrations {
        /// Windows in a minibatch.
        batch_size: usize,
    },
}

/// A replay, its warm-up and how it is sampled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplaySettings {
    /// Transitions with uniform random actions before the first one of the agent.
    pub warmup_transitions: u64,
    /// Whether the warm-up counts as environment steps.
    pub warmup_counts: bool,
    /// Updates after every vector step (`E` transitions).
    pub updates_per_vector_step: u32,
    /// Transitions in a minibatch.
    pub batch_size: usize,
    /// Transitions that the replay keeps.
    pub capacity: usize,
}

impl LoopSettings {
    /// Transitions that the loop keeps: the replay's capacity, or some rollouts.
    pub fn capacity(&self) -> usize {
        match self.data {
            Data::Replay(replay) => replay.capacity,
            Data::Rollout { keep, .. } => self.rollout_rows().saturating_mul(keep),
            Data::Demonstrations { .. } => 1,
        }
    }

    /// Transitions of one rollout; 0 where there are none.
    pub fn rollout_rows(&self) -> usize {
        match self.data {
            Data::Rollout { steps, .. } => steps.saturating_mul(self.num_envs),
            Data::Replay(_) | Data::Demonstrations { .. } => 0,
        }
    }

    /// Rows of the batch that an update gets, those of a first rollout.
    pub fn batch_rows(&self) -> usize {
        match self.data {
            Data::Replay(replay) => replay.batch_size,
            Data::Rollout { .. } => self.rollout_rows(),
            Data::Demonstrations { batch_size } => batch_size,
        }
    }

    /// [`Batch::num_envs`](crate::Batch::num_envs) of that batch.
    pub fn batch_envs(&self) -> usize {
        match self.data {
            Data::Replay(replay) => replay.batch_size,
            Data::Rollout { .. } => self.num_envs,
            Data::Demonstrations { batch_size } => batch_size,
        }
    }

    /// Refuses a size of zero.
    pub(crate) fn check(&self) -> Result<(), TrainError> {
        let sizes = match self.data {
            Data::Replay(replay) => vec![
                ("batch_size", replay.batch_size),
                ("replay_capacity", replay.capacity),
            ],
            Data::Rollout { steps, keep } => {
                vec![("steps of a rollout", steps), ("rollouts kept", keep)]
            }
            Data::Demonstrations { batch_size } => vec![("batch_size", batch_size)],
        };
        let mut all = std::iter::once(("num_envs", self.num_envs)).chain(sizes);
        match all.find(|(_, size)| *size == 0) {
            None => Ok(()),
            Some((name, _)) => Err(TrainError::Invalid {
                what: name.into(),
                problem: "it is 0".into(),
                fix: "set it to 1 or more in the agent's configuration".into(),
            }),
        }
    }
}
