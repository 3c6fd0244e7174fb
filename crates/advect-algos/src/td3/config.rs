//! Constants of TD3.

use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

use crate::error::AlgoError;
use crate::off_policy::OffPolicyConfig;
use crate::validate::{at_least_one, narrowest, not_negative, positive};

/// TD3's configuration; baselines.md section 7, after Fujimoto et al. (arXiv 1802.09477) and the settings of their published code, which are later
/// than the paper's.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DocumentedFields)]
pub struct Td3Config {
    #[serde(flatten)]
    /// Data collection, replay, discount and moving average.
    pub off_policy: OffPolicyConfig,
    /// Hidden widths of actor and critics, ReLU. The code's two times 256; the paper has 400 and 300.
    pub hidden: Vec<usize>,
    /// Learning rate of the critics. The code's 3e-4; the paper has 1e-3.
    pub critic_lr: f64,
    /// Learning rate of the actor. The code's 3e-4; the paper has 1e-3.
    pub actor_lr: f64,
    /// Standard deviation of the behaviour's noise. 0.1.
    pub exploration_noise: f64,
    /// Standard deviation of the noise on the target's action. 0.2.
    pub target_noise: f64,
    /// Largest absolute value of that noise. 0.5.
    pub target_noise_clip: f64,
    /// Updates of the critics for one of the actor and the targets. 2.
    pub delay_update: u64,
}

impl Default for Td3Config {
    fn default() -> Self {
        Self {
            off_policy: OffPolicyConfig {
                // the code's for all tasks; the paper has 10,000 for HalfCheetah and Ant, 1,000 for the others
                warmup_transitions: 25_000,
                ..OffPolicyConfig::default()
            },
            hidden: vec![256; 2],
            critic_lr: 3e-4,
            actor_lr: 3e-4,
            exploration_noise: 0.1,
            target_noise: 0.2,
            target_noise_clip: 0.5,
            delay_update: 2,
        }
    }
}

impl Td3Config {
    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// [`AlgoError::Value`] with the key, what is wrong and the fix.
    pub fn validate(&self) -> Result<(), AlgoError> {
        self.off_policy.validate()?;
        at_least_one(&[
            ("hidden", narrowest(&self.hidden)),
            ("delay_update", self.delay_update),
        ])?;
        positive(&[("critic_lr", self.critic_lr), ("actor_lr", self.actor_lr)])?;
        not_negative(&[
            ("exploration_noise", self.exploration_noise),
            ("target_noise", self.target_noise),
            ("target_noise_clip", self.target_noise_clip),
        ])
    }
}
