//! Constants of QVPO.

use advect_kernels::decline::Decline;
use advect_kernels::optim::AdamConfig;
use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

use crate::diffusion_policy::DiffusionConfig;
use crate::error::AlgoError;
use crate::off_policy::{Counting, OffPolicyConfig};
use crate::scoring::Scoring;
use crate::validate::{at_least_one, not_negative, positive};

/// QVPO's configuration; baselines.md section 2, whose source is the authors' code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DocumentedFields)]
pub struct QvpoConfig {
    #[serde(flatten)]
    /// Data collection, replay, discount and moving average.
    pub off_policy: OffPolicyConfig,
    #[serde(flatten)]
    /// Networks and diffusion.
    pub diffusion: DiffusionConfig,

    /// Learning rate of the critics. 3e-4.
    pub critic_lr: f64,
    /// Learning rate of the policy. 1e-4.
    pub policy_lr: f64,
    /// Adam's epsilon, both optimisers. 1e-5.
    pub adam_eps: f64,
    /// Gradients are scaled down to this norm, both optimisers. 2.
    pub clip_norm: f64,

    /// Lets a time limit end the value of the critic's target, as the authors' version of Gym makes it. No: bootstrap through it.
    pub truncation_ends: bool,

    /// Generated actions per state in the policy's loss, of which the best one is kept. 64.
    pub num_candidates: usize,
    /// Uniform actions per state in the policy's loss: the entropy term. 10.
    pub num_uniform: usize,
    /// First weight of a uniform action relative to the best one, `alpha_e`. 0.02.
    pub entropy_max: f64,
    /// Last weight of a uniform action relative to the best one. 0.002.
    pub entropy_min: f64,
    /// Environment step at which `alpha_e` would reach zero, were it not for `entropy_min`. 1e6, the steps of a run.
    pub entropy_steps: u64,

    /// Generated actions of which the behaviour takes the best. 4.
    pub behaviour_best_of: usize,
    /// Generated actions of which an evaluation takes the best. 32.
    pub eval_best_of: usize,
    /// Generated actions of which the critic's target takes the best. 4.
    pub td_best_of: usize,
    /// Arithmetic of generating and scoring actions. f32; `bf16` is faster.
    pub scoring: Scoring,
}

impl Default for QvpoConfig {
    fn default() -> Self {
        Self {
            off_policy: OffPolicyConfig::default(),
            diffusion: DiffusionConfig::default(),
            critic_lr: 3e-4,
            policy_lr: 1e-4,
            adam_eps: 1e-5,
            clip_norm: 2.0,
            truncation_ends: false,
            num_candidates: 64,
            num_uniform: 10,
            entropy_max: 0.02,
            entropy_min: 0.002,
            entropy_steps: 1_000_000,
            behaviour_best_of: 4,
            eval_best_of: 32,
            td_best_of: 4,
            scoring: Scoring::F32,
        }
    }
}

impl QvpoConfig {
    /// Adam with this epsilon and clipping.
    pub fn adam(&self) -> AdamConfig {
        AdamConfig {
            eps: self.adam_eps,
            clip_norm: Some(self.clip_norm),
            ..AdamConfig::default()
        }
    }

    /// `alpha_e = clip(max (1 - step / total), min, max)`: the share of `omega` that every uniform action gets, by environment steps.
    pub fn entropy_coefficient(&self) -> Decline {
        let Counting { first, every, per } = self.off_policy.counting();
        Decline {
            high: self.entropy_max,
            low: self.entropy_min,
            total: self.entropy_steps,
            first,
            every,
            per,
        }
    }

    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// [`AlgoError::Value`] with the key, what is wrong and the fix.
    pub fn validate(&self) -> Result<(), AlgoError> {
        self.off_policy.validate()?;
        self.diffusion.validate()?;
        at_least_one(&[
            ("num_candidates", self.num_candidates as u64),
            ("num_uniform", self.num_uniform as u64),
            ("entropy_steps", self.entropy_steps),
            ("behaviour_best_of", self.behaviour_best_of as u64),
            ("eval_best_of", self.eval_best_of as u64),
            ("td_best_of", self.td_best_of as u64),
        ])?;
        positive(&[("adam_eps", self.adam_eps), ("clip_norm", self.clip_norm)])?;
        not_negative(&[
            ("critic_lr", self.critic_lr),
            ("policy_lr", self.policy_lr),
            ("entropy_max", self.entropy_max),
            ("entropy_min", self.entropy_min),
        ])
    }
}
