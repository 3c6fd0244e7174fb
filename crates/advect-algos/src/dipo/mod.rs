//! Policy from improved actions: DIPO (Yang et al., arXiv 2305.13122; baselines.md section 7).

pub mod agent;
pub mod config;
pub mod improve;
pub mod store;

pub use agent::{Dipo, DipoAgent, agent};
pub use config::DipoConfig;
pub use store::ImprovedActions;
