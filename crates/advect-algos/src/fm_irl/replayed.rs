//! FM-IRL whose student learns by soft actor-critic from a replay, instead of by PPO from rollouts.
//!
//! The equations are those of FM-IRL; what differs is when they are used. A minibatch is relabelled by the discriminator as it is in that moment, so
//! that no reward of the replay is stale, and the discriminator's rows of the student are those of the minibatch, which makes the replay its
//! distribution (as in Kostrikov et al., arXiv 1809.02925). The paper's student learns by PPO: this one is ours.

use candle_core::Device;
use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

use super::config::TeacherConfig;
use super::model::FlowTeacher;
use crate::dims::Dims;
use crate::error::AlgoError;
use crate::imitation::{ImitationConfig, ReplayedAgent, ReplayedConfig};
use crate::sac::SacConfig;

/// Name in the registry.
const NAME: &str = "fm-irl-sac";

/// The configuration of FM-IRL with SAC as the student's learner; no authors' values exist.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, DocumentedFields)]
pub struct FmIrlSacConfig {
    #[serde(flatten)]
    /// Expert, discriminator's steps and reward.
    pub imitation: ImitationConfig,
    #[serde(flatten)]
    /// The student.
    pub student: SacConfig,
    #[serde(flatten)]
    /// When discriminator and pairs are renewed, and the observations' units.
    pub replayed: ReplayedConfig,
    #[serde(flatten)]
    /// Teacher and discriminator.
    pub teacher: TeacherConfig,
}

/// An agent whose networks are drawn from `seed`.
///
/// # Errors
/// If the configuration contradicts itself.
pub fn agent(
    config: FmIrlSacConfig,
    dims: Dims,
    seed: u64,
    device: &Device,
) -> Result<ReplayedAgent<FlowTeacher>, AlgoError> {
    let FmIrlSacConfig {
        imitation,
        student,
        replayed,
        teacher,
    } = &config;
    student.validate()?;
    imitation.validate(student.off_policy.batch_size)?;
    replayed.validate()?;
    teacher.validate()?;
    let table = crate::registry::to_table(NAME, &config)?;
    let model = FlowTeacher::new(teacher, imitation.disc_lr, dims, seed, device)?;
    let parts = (imitation, student, replayed);
    ReplayedAgent::new(NAME, table, parts, model, dims, seed, device)
}
