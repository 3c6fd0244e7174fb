//! The facts of Gymnasium-Robotics' block in the Shadow hand, and the ids that they make.

use super::turn::Turn;
use super::{OWN, POSE, SIZES};
use crate::{EnvSpec, GoalLayout};

/// One task.
pub(super) struct Task {
    pub(super) id: &'static str,
    pub(super) turn: Turn,
    /// Whether the block has to be at a place, too.
    pub(super) placed: bool,
    pub(super) reward: Reward,
    /// Whether the episode ends when the goal is reached; its observation then has the goal's rotation only, behind the hand and the block.
    pub(super) episodic: bool,
    pub(super) max_episode_steps: u32,
}

/// What a step is rewarded with; `d = 10 |place - goal| + angle to the goal`, without the first term where the place does not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reward {
    /// 0 at the goal, else -1.
    Sparse,
    /// `-d`
    Dense,
    /// `d` before the step minus `d` after it, 0 on the first step.
    Progress,
}

const fn row(id: &'static str, turn: Turn, placed: bool, reward: Reward) -> Task {
    Task {
        id,
        turn,
        placed,
        reward,
        episodic: false,
        max_episode_steps: 100,
    }
}

/// Every task.
#[rustfmt::skip]
pub(super) static TASKS: [Task; 11] = [
    row("HandManipulateBlockRotateZ-v1", Turn::Vertical, false, Reward::Sparse),
    row("HandManipulateBlockRotateZDense-v1", Turn::Vertical, false, Reward::Dense),
    row("HandManipulateBlockRotateParallel-v1", Turn::Parallel, false, Reward::Sparse),
    row("HandManipulateBlockRotateParallelDense-v1", Turn::Parallel, false, Reward::Dense),
    row("HandManipulateBlockRotateXYZ-v1", Turn::Any, false, Reward::Sparse),
    row("HandManipulateBlockRotateXYZDense-v1", Turn::Any, false, Reward::Dense),
    row("HandManipulateBlockFull-v1", Turn::Any, true, Reward::Sparse),
    row("HandManipulateBlockFullDense-v1", Turn::Any, true, Reward::Dense),
    row("HandManipulateBlock-v1", Turn::Any, true, Reward::Sparse),
    row("HandManipulateBlockDense-v1", Turn::Any, true, Reward::Dense),
    Task {
        episodic: true,
        max_episode_steps: 50,
        ..row("CustomHandManipulateBlockRotateZ-v0", Turn::Third, false, Reward::Progress)
    },
];

impl Task {
    /// Its spec, with where the goals lie.
    pub(super) fn spec(&self) -> EnvSpec {
        let (obs_dim, goal) = match self.episodic {
            // the goal's place is not observed: only rotations can be compared
            true => (
                OWN + POSE,
                GoalLayout {
                    achieved: OWN - 4..OWN,
                    desired: OWN + 3..OWN + POSE,
                },
            ),
            false => (
                OWN + 2 * POSE,
                GoalLayout {
                    achieved: OWN..OWN + POSE,
                    desired: OWN + POSE..OWN + 2 * POSE,
                },
            ),
        };
        EnvSpec {
            goal: Some(goal),
            ..EnvSpec::symmetric(self.id, obs_dim, SIZES[2], 1.0)
                .with_time_limit(self.max_episode_steps)
        }
    }
}
