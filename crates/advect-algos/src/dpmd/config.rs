//! Constants of DPMD.

use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

use crate::error::AlgoError;
use crate::noisy_best_of::{ChainConfig, MirrorConfig, NoisyBestOfConfig, config};
use crate::off_policy::OffPolicyConfig;

/// DPMD's configuration; baselines.md section 3.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DocumentedFields)]
pub struct DpmdConfig {
    #[serde(flatten)]
    /// Data collection, replay, discount and moving average.
    pub off_policy: OffPolicyConfig,
    #[serde(flatten)]
    /// Critics, schedules, best of `P` and exploration noise.
    pub shared: NoisyBestOfConfig,
    #[serde(flatten)]
    /// Weights of the regression.
    pub mirror: MirrorConfig,
    #[serde(flatten)]
    /// The chain.
    pub chain: ChainConfig,
}

impl Default for DpmdConfig {
    fn default() -> Self {
        Self {
            off_policy: config::off_policy(),
            shared: NoisyBestOfConfig::default(),
            mirror: MirrorConfig::default(),
            chain: ChainConfig::default(),
        }
    }
}

impl DpmdConfig {
    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// [`AlgoError::Value`] with the key, what is wrong and the fix.
    pub fn validate(&self) -> Result<(), AlgoError> {
        self.off_policy.validate()?;
        self.shared.validate()?;
        self.mirror.validate()?;
        self.chain.validate()
    }
}
