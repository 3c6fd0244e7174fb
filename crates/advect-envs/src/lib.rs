#![doc = include_str!("../README.md")]

/// The guide is compiled as a test.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/guides/environments.md")]
mod guide {}

/// So is the one of the bridge.
#[cfg(all(doctest, unix))]
#[doc = include_str!("../../../docs/guides/bridge.md")]
mod bridge_guide {}

#[cfg(unix)]
pub mod bridge;
pub mod check;
#[cfg(feature = "datasets")]
pub mod data;
pub mod embedded;
mod env;
mod episodes;
mod error;
pub mod experts;
#[cfg(feature = "mujoco")]
pub mod mujoco;
pub mod normalize;
mod options;
pub mod pixels;
pub mod probe;
mod registry;
mod shard;
pub mod state;
mod time_limit;
mod vec_env;
pub mod wrappers;

pub use env::{Env, EnvSpec, GoalLayout, Step};
pub use episodes::{Episode, EpisodeMeans, EpisodeStats, Success};
pub use error::EnvError;
pub use pixels::{Image, ImageShape};
pub use registry::{base_id, ids, make, with_settings};
pub use time_limit::TimeLimit;
pub use vec_env::{StepBuffers, VecEnv};
