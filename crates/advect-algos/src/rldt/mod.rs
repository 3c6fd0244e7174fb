//! RLDT: fine-tunes a pretrained flow policy by density transport (arXiv 2606.08602; rldt.md).
//!
//! One file per equation; noise is an argument everywhere but in [`agent`](mod@agent).

pub mod agent;
pub mod config;
pub mod critic;
pub mod critic_encoder;
pub mod field;
pub mod landing;
pub mod loss;
pub mod return_so_far;
pub mod sequences;
pub mod step;
pub mod trajectories;

pub use agent::{Rldt, RldtAgent, agent};
pub use config::RldtConfig;
