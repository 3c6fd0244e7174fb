#![doc = include_str!("../README.md")]

pub mod error;
pub mod init;
pub mod mlp;
pub mod params;

pub use error::KernelError;
pub use mlp::{Activation, Mlp, Precision};
pub use params::{ParamEntry, ParamLayout, Params};
