//! FLAME: maximum-entropy reinforcement learning by one-step flow matching (arXiv 2602.01606).
//!
//! One file per equation; noise is an argument everywhere but in [`agent`].

pub mod act;
pub mod agent;
pub mod config;
pub mod critic;
pub mod entropy;
pub mod policy_m;
pub mod policy_r;
pub mod proposals;

pub use agent::FlameAgent;
pub use config::FlameConfig;

pub use crate::generator::{Generator, Variant};
