//! Settings of the methods whose discriminator is a plain network.

use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

use super::config::ImitationConfig;
use crate::error::AlgoError;
use crate::ppo::PpoConfig;
use crate::validate::{at_least_one, narrowest};

/// Expert, student and the discriminator's widths; (C) is the code of FM-IRL's authors for Maze2d (fm_irl.md sections 2.3 and 5.2), whose
/// values are the defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DocumentedFields)]
pub struct PlainConfig {
    #[serde(flatten)]
    /// Expert, discriminator's steps and reward.
    pub imitation: ImitationConfig,
    #[serde(flatten)]
    /// The student.
    pub student: PpoConfig,
    /// Hidden widths of the discriminator, tanh. (C) five times 64; Hand-rotate 128.
    pub disc_hidden: Vec<usize>,
}

impl Default for PlainConfig {
    fn default() -> Self {
        Self {
            imitation: ImitationConfig::default(),
            student: ImitationConfig::student(),
            disc_hidden: vec![64; 5],
        }
    }
}

impl PlainConfig {
    /// The settings that all methods share, and the student's.
    pub(super) fn parts(&self) -> (&ImitationConfig, &PpoConfig) {
        (&self.imitation, &self.student)
    }

    /// Refuses a width of zero.
    ///
    /// # Errors
    /// [`AlgoError::Value`] with the key.
    pub(super) fn validate(&self) -> Result<(), AlgoError> {
        at_least_one(&[("disc_hidden", narrowest(&self.disc_hidden))])
    }
}
