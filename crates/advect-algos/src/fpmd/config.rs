//! Constants of FPMD.

use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

use crate::error::AlgoError;
use crate::generator::Variant;
use crate::noisy_best_of::{MirrorConfig, NoisyBestOfConfig, config};
use crate::off_policy::OffPolicyConfig;
use crate::validate::at_least_one;

/// FPMD's configuration; baselines.md section 5. (C) is the authors' code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DocumentedFields)]
pub struct FpmdConfig {
    #[serde(flatten)]
    /// Data collection, replay, discount and moving average.
    pub off_policy: OffPolicyConfig,
    #[serde(flatten)]
    /// Critics, schedules, best of `P` and exploration noise.
    pub shared: NoisyBestOfConfig,
    #[serde(flatten)]
    /// Weights of the regression.
    pub mirror: MirrorConfig,
    /// Generation steps. (C) 20 for FPMD-R; 1 for FPMD-M, whose network is an average over the whole path.
    pub n_gen: usize,
    /// Evaluates with one network call from `x = 0` instead of the best candidate. (C) no: a path of its own after training.
    pub one_step_eval: bool,
}

impl Default for FpmdConfig {
    fn default() -> Self {
        Self::of(Variant::R)
    }
}

impl FpmdConfig {
    /// The defaults of a variant.
    pub fn of(variant: Variant) -> Self {
        Self {
            off_policy: config::off_policy(),
            shared: NoisyBestOfConfig {
                target_entropy_scale: 1.5,
                ..NoisyBestOfConfig::default()
            },
            mirror: MirrorConfig::default(),
            n_gen: match variant {
                Variant::M => 1,
                Variant::R => 20,
            },
            one_step_eval: false,
        }
    }

    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// [`AlgoError::Value`] with the key, what is wrong and the fix.
    pub fn validate(&self) -> Result<(), AlgoError> {
        self.off_policy.validate()?;
        self.shared.validate()?;
        self.mirror.validate()?;
        at_least_one(&[("n_gen", self.n_gen as u64)])
    }
}
