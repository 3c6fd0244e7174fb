//! DPMD: diffusion policy mirror descent (arXiv 2502.00361; baselines.md section 3).

pub mod config;
pub mod policy;

use candle_core::Device;
pub use config::DpmdConfig;

use crate::diffusion_policy::DiffusionPolicy;
use crate::dims::Dims;
use crate::error::AlgoError;
use crate::noisy_best_of::{Mirror, NoisyBestOf, Setup};

/// DPMD.
pub type DpmdAgent = NoisyBestOf<DiffusionPolicy, Mirror>;

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
    let name = "dpmd";
    let setup = Setup {
        name,
        table: crate::registry::to_table(name, &config)?,
        policy: config.chain.policy(&config.shared, dims)?,
        objective: Mirror::new(config.mirror),
        off_policy: config.off_policy,
        config: config.shared,
    };
    NoisyBestOf::new(setup, dims, seed, device)
}
