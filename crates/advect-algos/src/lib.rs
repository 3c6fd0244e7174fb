#![doc = include_str!("../README.md")]

pub mod candidates;
mod dims;
mod error;
mod evaluation;
pub mod flame;
pub mod gaussian;
mod hash;
mod networks;
pub mod off_policy;
pub mod ppo;
pub mod registry;
pub mod rows;
pub mod sac;
pub mod scoring;
mod streams;
pub mod td3;
mod validate;

pub use dims::Dims;
pub use error::AlgoError;
pub use off_policy::OffPolicyConfig;
pub use scoring::Scoring;
