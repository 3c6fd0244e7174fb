//! Constants of soft actor-critic.

use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

use crate::error::AlgoError;
use crate::off_policy::OffPolicyConfig;
use crate::validate::{at_least_one, finite, narrowest, not_negative, positive};

/// SAC's configuration; baselines.md section 1, after Haarnoja et al. (arXiv 1812.05905).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DocumentedFields)]
pub struct SacConfig {
    #[serde(flatten)]
    /// Data collection, replay, discount and moving average.
    pub off_policy: OffPolicyConfig,
    /// Hidden widths of actor and critics. Two times 256, ReLU.
    pub hidden: Vec<usize>,
    /// Learning rate of the critics. 3e-4.
    pub critic_lr: f64,
    /// Learning rate of the actor. 3e-4.
    pub actor_lr: f64,
    /// Learning rate of `log alpha`. 3e-4.
    pub alpha_lr: f64,
    /// Initial temperature, or its value when `fix_alpha` is set. 1.
    pub init_alpha: f64,
    /// Keeps the temperature at `init_alpha`. No.
    pub fix_alpha: bool,
    /// The target entropy is `-target_entropy_scale d`. 1.
    pub target_entropy_scale: f64,
}

impl Default for SacConfig {
    fn default() -> Self {
        Self {
            // random warm-up: 5 to 10 thousand in common use
            off_policy: OffPolicyConfig::default(),
            hidden: vec![256; 2],
            critic_lr: 3e-4,
            actor_lr: 3e-4,
            alpha_lr: 3e-4,
            init_alpha: 1.0,
            fix_alpha: false,
            target_entropy_scale: 1.0,
        }
    }
}

impl SacConfig {
    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// [`AlgoError::Value`] with the key, what is wrong and the fix.
    pub fn validate(&self) -> Result<(), AlgoError> {
        self.off_policy.validate()?;
        at_least_one(&[("hidden", narrowest(&self.hidden))])?;
        not_negative(&[
            ("critic_lr", self.critic_lr),
            ("actor_lr", self.actor_lr),
            ("alpha_lr", self.alpha_lr),
        ])?;
        finite(&[("target_entropy_scale", self.target_entropy_scale)])?;
        positive(&[("init_alpha", self.init_alpha)])
    }
}
