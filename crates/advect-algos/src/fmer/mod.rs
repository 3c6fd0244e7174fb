//! FMER: flow-matching policies by mirror descent with entropy constraints (arXiv 2603.17685; fmer.md).
//!
//! One file per equation; noise is an argument everywhere but in [`agent`](mod@agent).

pub mod agent;
pub mod config;
pub mod critic;
pub mod dual;
pub mod entropy;
mod improvement;
mod mirror;
pub mod policy;
pub mod switches;
pub mod wcfm;
pub mod weights;

pub use agent::{Fmer, FmerAgent, agent};
pub use config::FmerConfig;
