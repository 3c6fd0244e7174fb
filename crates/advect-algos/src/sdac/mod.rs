//! SDAC: soft diffusion actor-critic (arXiv 2502.00361; baselines.md section 3).

pub mod config;
pub mod objective;
pub mod reverse_sampling;

use candle_core::Device;
pub use config::SdacConfig;
pub use objective::ReverseSampling;

use crate::diffusion_policy::DiffusionPolicy;
use crate::dims::Dims;
use crate::error::AlgoError;
use crate::noisy_best_of::{NoisyBestOf, Setup};

/// SDAC.
pub type SdacAgent = NoisyBestOf<DiffusionPolicy, ReverseSampling>;

/// An agent with parameters drawn from `seed`.
///
/// # Errors
/// If the configuration makes no sense.
pub fn agent(
    config: SdacConfig,
    dims: Dims,
    seed: u64,
    device: &Device,
) -> Result<SdacAgent, AlgoError> {
    config.validate()?;
    let name = "sdac";
    let setup = Setup {
        name,
        table: crate::registry::to_table(name, &config)?,
        policy: config.chain.policy(&config.shared, dims)?,
        objective: ReverseSampling {
            num_noises: config.num_noises,
            value_scale: config.value_scale,
        },
        off_policy: config.off_policy,
        config: config.shared,
    };
    NoisyBestOf::new(setup, dims, seed, device)
}
