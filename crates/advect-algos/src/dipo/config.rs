//! Constants of DIPO.

use advect_kernels::optim::AdamConfig;
use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

use super::improve::Ascent;
use crate::diffusion_policy::DiffusionConfig;
use crate::error::AlgoError;
use crate::off_policy::OffPolicyConfig;
use crate::scoring::Scoring;
use crate::validate::{at_least_one, not_negative, positive};

/// DIPO's configuration; baselines.md section 7, whose source is the port beside SDAC.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DocumentedFields)]
pub struct DipoConfig {
    #[serde(flatten)]
    /// Data collection, replay, discount and moving average.
    pub off_policy: OffPolicyConfig,
    #[serde(flatten)]
    /// Networks and diffusion. 100 steps; a sinusoid of width 16 with a hidden layer of 32, as SDAC's.
    pub diffusion: DiffusionConfig,

    /// Learning rate of the critics. 3e-4.
    pub critic_lr: f64,
    /// Learning rate of the policy. 3e-4.
    pub policy_lr: f64,
    /// Gradients are scaled down to this norm, both optimisers. 2.
    pub clip_norm: f64,

    /// Adam steps that improve the stored actions of a minibatch. 20.
    pub action_steps: usize,
    /// Learning rate of these steps. 0.03.
    pub action_lr: f64,
    /// The gradient of a minibatch's actions is scaled down to this norm. 0.2.
    pub action_clip_norm: f64,
    /// Arithmetic of generating actions. f32; `bf16` is faster.
    pub scoring: Scoring,
}

impl Default for DipoConfig {
    fn default() -> Self {
        Self {
            off_policy: OffPolicyConfig::default(),
            diffusion: DiffusionConfig {
                n_diffusion: 100,
                time_dim: 16,
                time_hidden: 32,
                ..DiffusionConfig::default()
            },
            critic_lr: 3e-4,
            policy_lr: 3e-4,
            clip_norm: 2.0,
            action_steps: 20,
            action_lr: 0.03,
            action_clip_norm: 0.2,
            scoring: Scoring::F32,
        }
    }
}

impl DipoConfig {
    /// Adam with this clipping.
    pub fn adam(&self) -> AdamConfig {
        AdamConfig {
            clip_norm: Some(self.clip_norm),
            ..AdamConfig::default()
        }
    }

    /// How stored actions are improved.
    pub fn ascent(&self) -> Ascent {
        Ascent {
            steps: self.action_steps,
            lr: self.action_lr,
            clip_norm: self.action_clip_norm,
        }
    }

    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// [`AlgoError::Value`] with the key, what is wrong and the fix.
    pub fn validate(&self) -> Result<(), AlgoError> {
        self.off_policy.validate()?;
        self.diffusion.validate()?;
        not_negative(&[("critic_lr", self.critic_lr), ("policy_lr", self.policy_lr)])?;
        at_least_one(&[("action_steps", self.action_steps as u64)])?;
        positive(&[
            ("action_lr", self.action_lr),
            ("action_clip_norm", self.action_clip_norm),
            ("clip_norm", self.clip_norm),
        ])
    }
}
