//! Constants of SDAC.

use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

use crate::error::AlgoError;
use crate::noisy_best_of::{ChainConfig, NoisyBestOfConfig, config};
use crate::off_policy::OffPolicyConfig;
use crate::validate::{at_least_one, positive};

/// SDAC's configuration; baselines.md section 3. (C) is the authors' code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DocumentedFields)]
pub struct SdacConfig {
    #[serde(flatten)]
    /// Data collection, replay, discount and moving average.
    pub off_policy: OffPolicyConfig,
    #[serde(flatten)]
    /// Critics, schedules, best of `P` and exploration noise.
    pub shared: NoisyBestOfConfig,
    #[serde(flatten)]
    /// The chain.
    pub chain: ChainConfig,
    /// Noises per noised action, `K`. (C) 64.
    pub num_noises: usize,
    /// The weights are `softmax(value_scale Q / alpha)`. (C) 5.
    pub value_scale: f64,
}

impl Default for SdacConfig {
    fn default() -> Self {
        Self {
            off_policy: config::off_policy(),
            shared: NoisyBestOfConfig::default(),
            chain: ChainConfig::default(),
            num_noises: 64,
            value_scale: 5.0,
        }
    }
}

impl SdacConfig {
    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// [`AlgoError::Value`] with the key, what is wrong and the fix.
    pub fn validate(&self) -> Result<(), AlgoError> {
        self.off_policy.validate()?;
        self.shared.validate()?;
        self.chain.validate()?;
        at_least_one(&[("num_noises", self.num_noises as u64)])?;
        positive(&[("value_scale", self.value_scale)])
    }
}
