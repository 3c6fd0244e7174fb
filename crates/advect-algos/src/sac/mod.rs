//! Soft actor-critic (Haarnoja et al., arXiv 1812.05905; baselines.md section 1).
//!
//! The [`Learner`] is the whole algorithm but for where rewards come from, so that an imitation algorithm can give its own and add a
//! term to the actor's loss.

pub mod actor;
pub mod agent;
pub mod config;
pub mod learner;
pub mod policy;

pub use agent::SacAgent;
pub use config::SacConfig;
pub use learner::Learner;
pub use policy::{GaussianPolicy, Squashed};
