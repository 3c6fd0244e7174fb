//! FM-IRL (arXiv 2510.09222): one velocity network is a teacher of the expert's states and actions, a discriminator that rewards a student, and
//! what the student's mean is pulled to.

pub mod config;
pub mod discriminator;
pub mod matching;
pub mod model;
pub mod teacher;
pub mod times;

use candle_core::Device;

use crate::dims::Dims;
use crate::error::AlgoError;
use crate::imitation::{ImitationAgent, Settings};
pub use config::FmIrlConfig;
pub use model::FlowTeacher;

/// FM-IRL.
pub type FmIrlAgent = ImitationAgent<FlowTeacher>;

/// An agent whose networks are drawn from `seed`.
///
/// # Errors
/// If the configuration contradicts itself.
pub fn agent(
    config: FmIrlConfig,
    dims: Dims,
    seed: u64,
    device: &Device,
) -> Result<FmIrlAgent, AlgoError> {
    config.validate()?;
    let settings = Settings {
        name: "fm-irl",
        whole: &config,
        imitation: &config.imitation,
        student: &config.student,
    };
    let teacher = FlowTeacher::new(&config, dims, seed, device)?;
    ImitationAgent::new(settings, dims, seed, device, teacher)
}
