//! Reference cases: inputs and expected outputs of one function each, kept in safetensors files.
//!
//! [`run_dir`] reads every `*.safetensors` file of a directory, finds the function of its `case`
//! in the [`registry`], computes the outputs and compares them in relative L2.
//! A new case is one function in `cases/` and one row in that file's `CASES` table.

pub mod case;
pub mod cases;
pub mod error;
pub mod outputs;
pub mod registry;
pub mod runner;

pub use case::Case;
pub use error::GoldenError;
pub use outputs::{Gradients, Outputs};
pub use runner::{Summary, run_dir};
