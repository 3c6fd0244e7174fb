//! What SDAC, DPMD and FPMD have in common (baselines.md sections 3 and 5): twin critics without an entropy term, a policy that
//! acts by the best of its samples plus Gaussian noise, and a temperature that keeps the entropy of that noise at a target.
//!
//! [`NoisyBestOf`] is the agent. Its [`Policy`] is a network with a sampler, its [`Objective`] the policy's loss.

pub mod agent;
pub mod config;
pub mod diffusion;
pub mod mirror;
pub mod noise;
pub mod policy;
pub mod weights;

pub use agent::{NoisyBestOf, Setup};
pub use config::NoisyBestOfConfig;
pub use diffusion::ChainConfig;
pub use mirror::{Mirror, MirrorConfig, Regress};
pub use policy::{LossInputs, Objective, Policy, States};
