#![doc = include_str!("../README.md")]

pub mod candidates;
pub mod diffusion_policy;
mod dims;
pub mod dipo;
mod error;
mod evaluation;
pub mod flame;
mod hash;
mod networks;
pub mod off_policy;
pub mod qvpo;
pub mod registry;
pub mod rows;
pub mod sac;
pub mod scoring;
mod streams;
mod validate;

pub use dims::Dims;
pub use error::AlgoError;
pub use off_policy::OffPolicyConfig;
pub use scoring::Scoring;
