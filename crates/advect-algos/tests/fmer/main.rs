//! FMER's acceptance tests (fmer.md section 12).

#[path = "../common/mod.rs"]
mod common;

mod agent;
mod bandit;
mod entropy;
mod quadrature;
mod weights;
