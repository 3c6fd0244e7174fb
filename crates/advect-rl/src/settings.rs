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
    /// All that the present policy did: `steps` vector steps (`steps E` transitions) are collected, given to one update and
    /// dropped.
    Rollout {
        /// Vector steps of a rollout.
        steps: usize,
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
    /// Transitions that the loop keeps: the replay's capacity, or one rollout.
    pub fn capacity(&self) -> usize {
        match self.data {
            Data::Replay(replay) => replay.capacity,
            Data::Rollout { steps } => steps.saturating_mul(self.num_envs),
        }
    }

    /// Rows of the batch that an update gets.
    pub fn batch_rows(&self) -> usize {
        match self.data {
            Data::Replay(replay) => replay.batch_size,
            Data::Rollout { steps } => steps.saturating_mul(self.num_envs),
        }
    }

    /// [`Batch::num_envs`](crate::Batch::num_envs) of that batch.
    pub fn batch_envs(&self) -> usize {
        match self.data {
            Data::Replay(replay) => replay.batch_size,
            Data::Rollout { .. } => self.num_envs,
        }
    }

    /// Refuses a size of zero.
    pub(crate) fn check(&self) -> Result<(), TrainError> {
        let sizes = match self.data {
            Data::Replay(replay) => vec![
                ("batch_size", replay.batch_size),
                ("replay_capacity", replay.capacity),
            ],
            Data::Rollout { steps } => vec![("steps of a rollout", steps)],
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
