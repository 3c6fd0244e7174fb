//! DPMD: diffusion policy mirror descent (arXiv 2502.00361; baselines.md section 3).

pub mod config;
pub mod policy;

use candle_core::Device;
pub use config::DpmdConfig;

use crate::diffusion_policy::DiffusionPolicy;
use crate::dims::Dims;
use crate::error::AlgoError;
use crate::noisy_best_of::{Mirror, NoisyBestOf, Setup};
use crate::off_policy::OffPolicyAgent;

/// DPMD.
pub type DpmdAgent = OffPolicyAgent<NoisyBestOf<DiffusionPolicy, Mirror>>;

/// An agent with parameters drawn from `seed`.
///
/// # Errors
/// If the configuration makes no sense.
pub fn agent(
    config: DpmdConfig,
    dims: Dims,
    seed: u64,
    device: &Device,
) -> Result<DpmdAgent, AlgoError> {
    config.validate()?;
    let setup = Setup {
        name: "dpmd",
        off_policy: &config.off_policy,
        shared: &config.shared,
        policy: config.chain.policy(&config.shared, dims)?,
        objective: Mirror::new(config.mirror.clone(), device)?,
    };
    setup.agent(&config, dims, seed, device)
}
