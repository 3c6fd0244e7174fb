//! Behaviour cloning by flow matching: the pretraining of a base policy (Lipman et al., arXiv 2210.02747; rldt.md section 7).

pub mod agent;
pub mod config;

pub use agent::FlowBcAgent;
pub use config::FlowBcConfig;
