//! FPMD: flow policy mirror descent (arXiv 2507.23675; baselines.md section 5). FPMD-R is a rectified flow, FPMD-M a MeanFlow.

pub mod config;
pub mod policy_m;
pub mod policy_r;
mod regression;

use candle_core::Device;
pub use config::FpmdConfig;

use crate::dims::Dims;
use crate::error::AlgoError;
use crate::generator::Variant;
use crate::noisy_best_of::{FlowPolicy, Mirror, NoisyBestOf, Setup};
use crate::off_policy::OffPolicyAgent;

/// FPMD-R or FPMD-M.
pub type FpmdAgent = OffPolicyAgent<NoisyBestOf<FlowPolicy, Mirror>>;

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
        name: match variant {
            Variant::M => "fpmd-m",
            Variant::R => "fpmd-r",
        },
        off_policy: &config.off_policy,
        shared: &config.shared,
        policy: FlowPolicy {
            clip_candidates: true,
            one_step_eval: config.one_step_eval,
            ..FlowPolicy::new(variant, &config.shared, config.n_gen, dims)?
        },
        objective: Mirror::new(config.mirror.clone(), device)?,
    };
    setup.agent(&config, dims, seed, device)
}
