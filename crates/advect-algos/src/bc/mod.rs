//! Behaviour cloning of a Gaussian policy: the baseline of imitation, and what PPO can begin from.

mod agent;
mod config;

pub use agent::BcAgent;
pub use config::BcConfig;
