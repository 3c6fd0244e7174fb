//! Twin delayed deep deterministic policy gradient (Fujimoto et al., arXiv 1802.09477; baselines.md section 7).

pub mod actor;
pub mod agent;
pub mod config;
pub mod smoothing;

pub use actor::TanhPolicy;
pub use agent::{Td3, Td3Agent, agent};
pub use config::Td3Config;
