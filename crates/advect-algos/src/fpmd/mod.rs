//! FPMD: flow policy mirror descent (arXiv 2507.23675; baselines.md section 5). FPMD-R is a rectified flow, FPMD-M a MeanFlow.

pub mod config;
pub mod policy;
pub mod policy_m;
pub mod policy_r;

use candle_core::Device;
pub use config::FpmdConfig;
pub use policy::FlowPolicy;

use crate::dims::Dims;
use crate::error::AlgoError;
use crate::generator::Variant;
use crate::noisy_best_of::{Mirror, NoisyBestOf, Setup};

/// FPMD-R or FPMD-M.
pub type FpmdAgent = NoisyBestOf<FlowPolicy, Mirror>;

/// The algorithm's name on the command line.
fn name(variant: Variant) -> &'static str {
    match variant {
        Variant::M => "fpmd-m",
        Variant::R => "fpmd-r",
    }
}

/// An agent with parameters drawn from `seed`.
///
/// # Errors
/// If the configuration makes no sense.
pub fn agent(
    variant: Variant,
    config: FpmdConfig,
    dims: Dims,
    seed: u64,
    device: &Device,
) -> Result<FpmdAgent, AlgoError> {
    config.validate()?;
    let setup = Setup {
        name: name(variant),
        table: crate::registry::to_table(name(variant), &config)?,
        policy: FlowPolicy::new(variant, &config, dims)?,
        objective: Mirror::new(config.mirror),
        off_policy: config.off_policy,
        config: config.shared,
    };
    NoisyBestOf::new(setup, dims, seed, device)
}
