#![doc = include_str!("../README.md")]

mod attached;
pub mod candidates;
mod columns;
#[cfg(feature = "cuda")]
pub mod cuda;
mod dense;
mod gemm;
mod scratch;
mod simd;
#[cfg(test)]
mod tests;

pub mod decline;
pub mod ensemble;
pub mod error;
pub mod graph;
pub mod init;
pub mod kernel_matrix;
pub mod logdet;
pub mod mlp;
pub mod ode;
pub mod optim;
pub mod params;
pub mod pointwise;
pub mod random;
pub mod recursion;
pub mod residual;
pub mod rows;
pub mod scalars;
pub mod schedule;
pub mod squashed;
pub mod svgd;
pub mod threads;
pub mod truncnorm;
pub mod waves;

pub use attached::attached;
pub use columns::{side_by_side, stacked, take_columns};
pub use dense::{Context, Pullback};
pub use error::KernelError;
pub use mlp::{Activation, Mlp, Precision};
pub use optim::{Adam, AdamConfig, AdamState};
pub use params::{ParamEntry, ParamLayout, Params};
pub use residual::{BlockForm, ResidualConfig, ResidualMlp};
pub use schedule::Schedule;
