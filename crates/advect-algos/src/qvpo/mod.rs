//! Q-weighted variational policy optimisation (Ding et al., arXiv 2405.16173; baselines.md section 2).

pub mod agent;
pub mod config;
pub mod loss;
pub mod weights;

pub use agent::{Qvpo, QvpoAgent, agent};
pub use config::QvpoConfig;
