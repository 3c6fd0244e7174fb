//! ReinFlow: fine-tunes a pretrained flow policy by policy gradients on the chain of its noisy steps (Zhang et al., arXiv 2505.22094).
//!
//! One file per equation; noise is an argument everywhere but in [`agent`](mod@agent).

pub mod agent;
pub mod chain;
pub mod config;
pub mod loss;
pub mod network;
pub mod noise;

pub use agent::ReinFlowAgent;
pub use chain::NoisyChain;
pub use config::ReinFlowConfig;
pub use network::NoisyFlow;
