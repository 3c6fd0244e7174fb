//! A minibatch of transitions.

use candle_core::Tensor;

/// `B` transitions on the learner's device, all f32.
#[derive(Debug, Clone)]
pub struct Batch {
    /// Observations `[B, o]`.
    pub obs: Tensor,
    /// Actions in `[-1, 1]`-scaled units, as the agent returned them `[B, d]`.
    pub act: Tensor,
    /// Raw rewards `[B]`.
    pub reward: Tensor,
    /// True next observations, also where an episode ended `[B, o]`.
    pub next_obs: Tensor,
    /// 1 where the episode terminated (never for a truncation), else 0 `[B]`.
    pub terminated: Tensor,
    /// Numbers of the transitions, counted from the first that the replay ever took `[B]`: for what an agent keeps of each.
    pub numbers: Vec<u64>,
}
