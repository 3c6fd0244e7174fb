//! The cases, one file per part of the workspace; each file ends in its table.

mod critics;
pub mod density;
pub mod embed;
pub mod flame;
pub mod flame_m;
pub mod flame_r;
pub mod fm_irl;
pub mod fmer;
pub mod kernel;
pub mod mlp;
pub mod ode;
pub mod on_policy;
pub mod optim;
pub mod proposals;
pub mod qvpo;
pub mod residual;
pub mod rldt;
pub mod rldt_policy;
pub mod sac;

#[cfg(test)]
pub(crate) mod tests;
