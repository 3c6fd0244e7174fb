#![doc = include_str!("../README.md")]

mod gemm;
mod scratch;
mod simd;

pub mod error;
pub mod init;
pub mod mlp;
pub mod params;
pub mod threads;

pub use error::KernelError;
pub use mlp::{Activation, Mlp, Precision};
pub use params::{ParamEntry, ParamLayout, Params};
