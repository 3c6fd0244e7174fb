//! A rollout as the networks see it.

use advect_kernels::KernelError;
use advect_rl::advantage::{Rollout, TimeLimits, gae, next_values};
use candle_core::{Result, Tensor};

use super::loss::Rows;

/// How rewards to come count.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Discount {
    /// Discount.
    pub gamma: f64,
    /// Lambda of the advantages.
    pub lambda: f64,
    /// What a time limit means.
    pub limits: TimeLimits,
}

/// A rollout in the units of the networks, without its rewards.
#[derive(Debug, Clone)]
pub struct Experience {
    /// Normalised observations, each with the statistics of its time `[T E, o]`.
    pub obs: Tensor,
    /// The true next observations, likewise `[T E, o]`.
    pub next_obs: Tensor,
    /// What the policy drew, as [`Rows::act`] says `[T E, ..]`.
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

    /// The rows to learn from, given what the parameters that acted say of them.
    ///
    /// # Shapes
    /// `reward` of `T E` values; `log_prob`, `value` of the observations and `at_end` of the true next observations `[T E]`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn rows(
        &self,
        reward: &[f32],
        log_prob: Tensor,
        value: Tensor,
        at_end: &Tensor,
        discount: Discount,
    ) -> Result<Rows> {
        let (values, at_end) = (value.to_vec1()?, at_end.to_vec1()?);
        let advantage = self.advantages(reward, &values, &at_end, discount);
        let advantage = Tensor::from_vec(advantage, values.len(), value.device())?;
        Ok(Rows {
            obs: self.obs.clone(),
            act: self.act.clone(),
            log_prob,
            returns: (&advantage + &value)?,
            advantage,
            value,
        })
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
        discount: Discount,
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
        gae(&rollout, discount.gamma, discount.lambda, discount.limits)
    }
}

/// Refuses a rollout of `found` environments where `expected` are configured.
pub(crate) fn check_envs(expected: usize, found: usize) -> Result<()> {
    if found == expected {
        return Ok(());
    }
    Err(KernelError::Invalid {
        what: "rollout".into(),
        problem: format!("its rows are of {found} environments, `num_envs` is {expected}"),
        fix: "collect it with as many environments as the agent is configured for".into(),
    }
    .into())
}
