//! Constants that FLAME, SDAC, DPMD and FPMD share.

use advect_kernels::scalars::Scalar;
use advect_kernels::schedule::Schedule;
use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

use crate::error::AlgoError;
use crate::off_policy::OffPolicyConfig;
use crate::scoring::Scoring;
use crate::validate::{at_least_one, finite, narrowest, not_negative, positive};

/// Standard deviation of the exploration noise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum NoiseRule {
    /// `noise_scale alpha`: the noise fades with the temperature.
    AlphaScaled,
    /// `noise_scale`.
    Constant,
}

/// Configuration of the agent that acts by the best of its samples plus noise; flame.md section 8, baselines.md sections 3 and 5. (C) is the
/// authors' code, whose defaults these are unless the comment says "consistent".
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DocumentedFields)]
pub struct NoisyBestOfConfig {
    /// Factor on the reward in the critic's target. (C) 0.2.
    pub reward_scale: f64,
    /// Hidden widths of critics and policy. (C) three times 256, Mish.
    pub hidden: Vec<usize>,

    /// Learning rate of the critics. (C) 3e-4.
    pub critic_lr: f64,
    /// Two Adam steps of the critics with one gradient, as (C) SDAC and FLAME-M (flame.md Q7). Consistent: off.
    pub critic_double_step: bool,
    /// Initial learning rate of the policy. (C) 3e-4.
    pub policy_lr: f64,
    /// Final learning rate of the policy. (C) 3e-5.
    pub policy_lr_end: f64,
    /// Policy step at which the rate begins to fall. (C) 25,000.
    pub policy_lr_begin: u64,
    /// Policy steps over which it falls linearly. (C) 50,000.
    pub policy_lr_duration: u64,
    /// Updates between steps of the policy and of the moving averages. (C) 2.
    pub delay_update: u64,

    /// Candidates ranked by the critics at every decision, `P`. (C) 32.
    pub best_of: usize,
    /// Standard deviation of the sampler's start. Consistent: 1, which training assumes; (C) 0.5 (flame.md Q5).
    pub base_std: f64,
    /// Factor of the exploration noise. (C) 0.1; FLAME 0.001, as its sweep script, its command line 1.
    pub noise_scale: f64,
    /// Standard deviation of the exploration noise. (C) `alpha noise_scale` while alpha is learned.
    pub noise: NoiseRule,
    /// Whether the action in the critic's target carries the exploration noise. (C) yes; FLAME, consistent: no.
    pub td_noise: bool,
    /// Initial temperature, or its value when `fix_alpha` is set. (C) 5; FLAME 0.01, as its sweep script, its command line 1.
    pub init_alpha: f64,
    /// Keeps the temperature at `init_alpha`. (C) no.
    pub fix_alpha: bool,
    /// Learning rate of `log alpha`. (C) 7e-3; FLAME 5e-3.
    pub alpha_lr: f64,
    /// Updates between temperature steps. (C) 250; FLAME 100.
    pub delay_alpha_update: u64,
    /// The temperature drives an entropy to `-target_entropy_scale d`: FLAME that of the policy, the others that of the noise.
    /// (C) 0.9 for SDAC and DPMD, 1.5 for FPMD; FLAME 1, as its sweep script, its command line 3.
    pub target_entropy_scale: f64,

    /// Arithmetic of candidate generation and scoring.
    pub scoring: Scoring,
}

impl Default for NoisyBestOfConfig {
    fn default() -> Self {
        Self {
            reward_scale: 0.2,
            hidden: vec![256; 3],
            critic_lr: 3e-4,
            critic_double_step: false,
            policy_lr: 3e-4,
            policy_lr_end: 3e-5,
            policy_lr_begin: 25_000,
            policy_lr_duration: 50_000,
            delay_update: 2,
            best_of: 32,
            base_std: 1.0,
            noise_scale: 0.1,
            noise: NoiseRule::AlphaScaled,
            td_noise: true,
            init_alpha: 5.0,
            fix_alpha: false,
            alpha_lr: 7e-3,
            delay_alpha_update: 250,
            target_entropy_scale: 0.9,
            scoring: Scoring::F32,
        }
    }
}

/// Data collection of the authors' code: five environments, 30,000 random transitions that do not count, one update per vector
/// step.
pub fn off_policy() -> OffPolicyConfig {
    OffPolicyConfig {
        num_envs: 5,
        warmup_transitions: 30_000,
        warmup_counts: false,
        ..OffPolicyConfig::default()
    }
}

impl NoisyBestOfConfig {
    /// The policy's learning rate over its optimiser's steps.
    pub fn policy_schedule(&self) -> Schedule {
        Schedule::Linear {
            lr: self.policy_lr,
            lr_end: self.policy_lr_end,
            begin: self.policy_lr_begin,
            duration: self.policy_lr_duration,
        }
    }

    /// Standard deviation of the exploration noise at a temperature.
    ///
    /// # Errors
    /// If the device fails.
    pub fn noise_std(&self, alpha: impl Into<Scalar>) -> candle_core::Result<Scalar> {
        let (of, factor) = self.noise_std_of(alpha);
        of.affine(factor, 0.0)
    }

    /// The number whose multiple it is, and the factor.
    pub(crate) fn noise_std_of(&self, alpha: impl Into<Scalar>) -> (Scalar, f64) {
        match self.noise {
            NoiseRule::AlphaScaled => (alpha.into(), self.noise_scale),
            NoiseRule::Constant => (1.0.into(), self.noise_scale),
        }
    }

    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// [`AlgoError::Value`] with the key, what is wrong and the fix.
    pub fn validate(&self) -> Result<(), AlgoError> {
        at_least_one(&[
            ("hidden", narrowest(&self.hidden)),
            ("delay_update", self.delay_update),
            ("delay_alpha_update", self.delay_alpha_update),
            ("best_of", self.best_of as u64),
        ])?;
        not_negative(&[
            ("alpha_lr", self.alpha_lr),
            ("critic_lr", self.critic_lr),
            ("policy_lr", self.policy_lr),
            ("policy_lr_end", self.policy_lr_end),
        ])?;
        finite(&[("target_entropy_scale", self.target_entropy_scale)])?;
        positive(&[
            ("reward_scale", self.reward_scale),
            ("base_std", self.base_std),
            ("noise_scale", self.noise_scale),
            ("init_alpha", self.init_alpha),
        ])
    }
}
