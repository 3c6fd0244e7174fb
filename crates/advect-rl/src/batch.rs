//! The transitions of an update.

use candle_core::{DType, Result, Tensor};

/// `B` transitions on the learner's device, all f32 but observations that are frames and nothing else: those are u8 until an agent
/// makes them numbers (see [`Batch::with_numbers`]).
///
/// A rollout has all its rows in time order, the environments of a step behind each other: row `i` is of environment
/// `i mod num_envs` in step `i / num_envs`. The rows of a replay's minibatch have nothing to do with each other, which is the
/// same order with one step of `B` environments.
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
    /// 1 where the episode was cut off, whether it terminated in that step or not, else 0 `[B]`.
    pub truncated: Tensor,
    /// Environments of a rollout, whose rows alternate; `B` for a minibatch.
    pub num_envs: usize,
}

impl Batch {
    /// The same with observations of f32.
    ///
    /// # Errors
    /// If the device fails.
    pub fn with_numbers(self) -> Result<Self> {
        Ok(Self {
            obs: self.obs.to_dtype(DType::F32)?,
            next_obs: self.next_obs.to_dtype(DType::F32)?,
            ..self
        })
    }

    /// States and actions to imitate: no rewards, no ends; the next observation is the state itself.
    ///
    /// # Shapes
    /// `obs` `[B, o]`, `act` `[B, d]`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn imitation(obs: Tensor, act: Tensor) -> Result<Self> {
        let rows = obs.dim(0)?;
        let zero = Tensor::zeros(rows, DType::F32, obs.device())?;
        Ok(Self {
            next_obs: obs.clone(),
            obs,
            act,
            reward: zero.clone(),
            terminated: zero.clone(),
            truncated: zero,
            numbers: vec![0; rows],
            num_envs: rows,
        })
    }
}
