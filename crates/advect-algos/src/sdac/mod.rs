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
use crate::off_policy::OffPolicyAgent;

/// SDAC.
pub type SdacAgent = OffPolicyAgent<NoisyBestOf<DiffusionPolicy, ReverseSampling>>;

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
    let setup = Setup {
        name: "sdac",
        off_policy: &config.off_policy,
        shared: &config.shared,
        policy: config.chain.policy(&config.shared, dims)?,
        objective: ReverseSampling {
            num_noises: config.num_noises,
            value_scale: config.value_scale,
        },
    };
    setup.agent(&config, dims, seed, device)
}
