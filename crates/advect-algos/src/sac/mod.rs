//! Soft actor-critic (Haarnoja et al., arXiv 1812.05905; baselines.md section 1).

pub mod actor;
pub mod agent;
pub mod config;
pub mod policy;

pub use agent::SacAgent;
pub use config::SacConfig;
pub use policy::GaussianPolicy;
