#![doc = include_str!("../README.md")]

mod dims;
mod error;
mod evaluation;
pub mod flame;
mod hash;
pub mod registry;
pub mod sac;

pub use dims::Dims;
pub use error::AlgoError;
