//! The command from outside: the built binary, its output, its files.

mod errors;
mod harness;
mod resume;
mod threads;
mod train;
