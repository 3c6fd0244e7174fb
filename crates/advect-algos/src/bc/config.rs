//! Constants of behaviour cloning.

use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

use crate::error::AlgoError;
use crate::validate::{at_least_one, finite, narrowest, positive};

/// Behaviour cloning's configuration; networks are those of FM-IRL's student (fm_irl.md section 2.2).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DocumentedFields)]
pub struct BcConfig {
    /// File of the demonstrations: D4RL, Minari, robomimic or OGBench.
    pub data: String,
    /// Episodes of the file that are used, the first ones; 0 is all.
    pub episodes: usize,
    /// Hidden widths of the policy, tanh, and of the value that PPO finds beside it. Two times 256.
    pub hidden: Vec<usize>,
    /// Transitions in a minibatch. 256.
    pub batch_size: usize,
    /// Learning rate. 3e-4.
    pub lr: f64,
    /// Initial `log sigma`. 0.
    pub init_log_std: f64,
    /// Gain of the orthogonal last layer of the mean. 1.
    pub policy_head_gain: f64,
    /// Gain of the orthogonal last layer of the value. 1.
    pub value_head_gain: f64,
    /// Largest absolute value of a normalised observation. 10.
    pub obs_clip: f64,
}

impl Default for BcConfig {
    fn default() -> Self {
        Self {
            data: String::new(),
            episodes: 0,
            hidden: vec![256; 2],
            batch_size: 256,
            lr: 3e-4,
            init_log_std: 0.0,
            policy_head_gain: 1.0,
            value_head_gain: 1.0,
            obs_clip: 10.0,
        }
    }
}

impl BcConfig {
    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// [`AlgoError::Value`] with the key, what is wrong and the fix.
    pub fn validate(&self) -> Result<(), AlgoError> {
        at_least_one(&[
            ("hidden", narrowest(&self.hidden)),
            ("batch_size", self.batch_size as u64),
        ])?;
        positive(&[
            ("lr", self.lr),
            ("policy_head_gain", self.policy_head_gain),
            ("value_head_gain", self.value_head_gain),
            ("obs_clip", self.obs_clip),
        ])?;
        finite(&[("init_log_std", self.init_log_std)])
    }
}
