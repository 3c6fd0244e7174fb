//! The cases, one file per part of the workspace; each file ends in its table.

pub mod mlp;

#[cfg(test)]
pub(crate) mod tests;
