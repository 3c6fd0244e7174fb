//! Bridged environments: the protocol with a server of the standard library, and Gymnasium where it is installed.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test")]

#[path = "../common/mod.rs"]
mod common;
mod faults;
mod gymnasium;
mod point;
mod resume;
mod support;
