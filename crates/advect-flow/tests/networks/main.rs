//! Networks against finite differences and their batched twins.

mod common;
mod plain;
mod residual;
