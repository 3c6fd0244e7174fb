#![doc = include_str!("../README.md")]

pub use advect_algos as algos;
pub use advect_envs as envs;
pub use advect_flow as flow;
pub use advect_kernels as kernels;
pub use advect_rl as rl;
pub use advect_rng as rng;

pub mod bandit;
pub mod compose;
pub mod curves;
pub mod device;
pub mod env_source;
pub mod film;
pub mod machine;
pub mod multi_goal;
pub mod plot;
pub mod presets;
pub mod result;
pub mod ring;
pub mod skill;
pub mod timing;

/// The examples of the workspace's README, compiled and run as tests.
#[cfg(doctest)]
mod pages {
    #[doc = include_str!("../../../README.md")]
    struct Readme;
}
