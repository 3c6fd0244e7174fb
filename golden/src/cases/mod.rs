//! The cases, one file per part of the workspace; each file ends in its table.

pub mod kernel;
pub mod mlp;
pub mod ode;
pub mod optim;
pub mod proposals;

#[cfg(test)]
pub(crate) mod tests;
