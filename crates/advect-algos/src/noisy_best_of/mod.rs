//! What FLAME, SDAC, DPMD and FPMD have in common (flame.md section 8, baselines.md sections 3 and 5): twin critics, a policy that
//! acts by the best of its samples plus Gaussian noise, and a temperature that keeps an entropy at its target.
//!
//! [`NoisyBestOf`] is the algorithm. Its [`Policy`] is a network with a sampler; its [`Objective`] trains the policy and says whose
//! entropy counts.

pub mod agent;
pub mod config;
pub mod diffusion;
pub mod flow;
pub mod mirror;
pub mod noise;
pub mod policy;
pub mod weights;

pub use agent::{NoisyBestOf, Setup};
pub use config::{NoiseRule, NoisyBestOfConfig};
pub use diffusion::ChainConfig;
pub use flow::FlowPolicy;
pub use mirror::{Mirror, MirrorConfig, Regress};
pub use policy::{EntropyOf, LossInputs, NextStates, Objective, Policy, States};
