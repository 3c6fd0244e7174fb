//! The command from outside: the built binary, its output, its files.

#![allow(clippy::unwrap_used)] // helpers of tests

mod data;
mod errors;
mod harness;
mod pretrain;
mod render;
mod resume;
mod seeds;
mod threads;
mod train;
