//! What FM-IRL and the baselines beside it share.

use std::f64::consts::SQRT_2;

use advect_rl::advantage::TimeLimits;
use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

use super::reward::RewardKind;
use crate::error::AlgoError;
use crate::ppo::PpoConfig;
use crate::ppo::config::AdvantageNorm;
use crate::validate::{at_least_one, finite, positive};

/// Expert, discriminator's steps and reward; sections are those of fm_irl.md, (C) is the authors' code for Maze2d, whose values are the defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DocumentedFields)]
pub struct ImitationConfig {
    /// File of the expert's demonstrations: D4RL, Minari, robomimic or OGBench.
    pub data: String,
    /// Episodes of the file that are used, the first ones; 0 is all. (C) all.
    pub episodes: usize,
    /// Part of the transitions that is kept, drawn once per run. (C) 0.5; Hopper and Walker2d 1.
    pub expert_fraction: f64,
    /// Rows of the expert, and as many of the student, in a minibatch of the discriminator. (C) 64; Hopper and Walker2d 128.
    pub disc_batch: usize,
    /// Passes of the discriminator over a rollout (over a minibatch where the student learns from a replay), each as long as the shorter of
    /// expert and rollout. (C) 1.
    pub disc_epochs: usize,
    /// Learning rate of the discriminator, constant. (C) 1e-3; Hopper and Walker2d 1e-4.
    pub disc_lr: f64,
    /// Reward: `airl`, `airl_positive`, `gail`, `raw` or `revise`. (C) airl; Hopper and Walker2d airl_positive.
    pub reward: RewardKind,
    /// Added to the logit by `airl_positive`. (C) 20.
    pub survival_bonus: f64,
}

impl Default for ImitationConfig {
    fn default() -> Self {
        Self {
            data: String::new(),
            episodes: 0,
            expert_fraction: 0.5,
            disc_batch: 64,
            disc_epochs: 1,
            disc_lr: 1e-3,
            reward: RewardKind::Airl,
            survival_bonus: 20.0,
        }
    }
}

impl ImitationConfig {
    /// The student of section 5.1: PPO in 32 environments of 500 steps, two times 256 units, rate 1e-4 falling over 312 iterations.
    pub fn student() -> PpoConfig {
        PpoConfig {
            num_envs: 32,
            rollout_steps: 500,
            hidden: vec![256; 2],
            lr: 1e-4,
            lr_decay_updates: 312,
            adam_eps: 1e-12,
            entropy_coef: 1e-3,
            time_limits: TimeLimits::Ignore,
            advantage_norm: AdvantageNorm::Rollout,
            advantage_eps: 1e-5,
            policy_head_gain: 1.0,
            value_head_gain: SQRT_2,
            reward_clip: 0.0,
            ..PpoConfig::default()
        }
    }

    /// Refuses what makes no sense when the student gives `rows` rows at a time.
    ///
    /// # Errors
    /// [`AlgoError::Value`] with the key, what is wrong and the fix.
    pub fn validate(&self, rows: usize) -> Result<(), AlgoError> {
        at_least_one(&[
            ("disc_batch", self.disc_batch as u64),
            ("disc_epochs", self.disc_epochs as u64),
        ])?;
        positive(&[("disc_lr", self.disc_lr)])?;
        finite(&[("survival_bonus", self.survival_bonus)])?;
        if !(self.expert_fraction > 0.0 && self.expert_fraction <= 1.0) {
            let fix = "give a number above 0, at most 1";
            return Err(AlgoError::value(
                "expert_fraction",
                self.expert_fraction,
                fix,
            ));
        }
        if self.disc_batch > rows {
            let fix = format!(
                "give at most {rows}, the rows of a rollout (num_envs rollout_steps) or of a minibatch (batch_size)"
            );
            return Err(AlgoError::value("disc_batch", self.disc_batch, fix));
        }
        Ok(())
    }
}
