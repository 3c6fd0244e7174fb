//! FLAME: maximum-entropy reinforcement learning by one-step flow matching (arXiv 2602.01606).
//!
//! One file per equation; noise is an argument everywhere but in [`objective`]. The update that they are part of is
//! [`NoisyBestOf`]'s.

pub mod config;
pub mod critic;
pub mod entropy;
pub mod objective;
pub mod policy_m;
pub mod policy_r;
pub mod proposals;

use candle_core::Device;
pub use config::FlameConfig;
pub use objective::Reweighted;

use crate::dims::Dims;
use crate::error::AlgoError;
pub use crate::generator::{Generator, Variant};
use crate::noisy_best_of::{FlowPolicy, NoisyBestOf, Setup};
use crate::off_policy::OffPolicyAgent;

/// FLAME-M or FLAME-R.
pub type FlameAgent = OffPolicyAgent<NoisyBestOf<FlowPolicy, Reweighted>>;

/// An agent with parameters drawn from `seed`.
///
/// # Errors
/// If the configuration contradicts itself.
pub fn agent(
    variant: Variant,
    config: FlameConfig,
    dims: Dims,
    seed: u64,
    device: &Device,
) -> Result<FlameAgent, AlgoError> {
    config.validate(variant)?;
    let setup = Setup {
        name: match variant {
            Variant::M => "flame-m",
            Variant::R => "flame-r",
        },
        off_policy: &config.off_policy,
        shared: &config.shared,
        policy: FlowPolicy::new(variant, &config.shared, config.n_gen, dims)?,
        objective: Reweighted::new(variant, config.clone()),
    };
    setup.agent(&config, dims, seed, device)
}
