//! The MuJoCo tasks of Gymnasium and Gymnasium-Robotics on the MuJoCo library, opened at run time.
//!
//! Nothing is linked: without the library everything builds, and [`crate::make`] returns
//! [`EnvError::MujocoUnavailable`](crate::EnvError::MujocoUnavailable) with the command that mends it.
//! Exactly version 3.17.0 is accepted, because the memory layout differs between versions.

mod adroit;
mod ant_goal;
mod dl;
mod egl;
mod fetch;
mod gym;
mod hand;
mod kitchen;
mod layout;
mod locate;
mod maze;
mod mocap;
mod models;
mod provision;
mod rotation;
mod screen;
mod self_test;
mod sim;

pub use adroit::AdroitEnv;
pub use ant_goal::{AntGoal, AntGoalConfig};
pub use dl::take_warnings;
pub use fetch::{FetchConfig, FetchEnv};
pub use gym::GymEnv;
pub use hand::{HandConfig, HandEnv};
pub use kitchen::{KitchenConfig, KitchenEnv, KitchenTask};
pub use locate::{Installation, cache, root};
pub use maze::{MazeConfig, MazeEnv};
pub use provision::{is_provisioned, provision, provision_into};
pub use sim::{Data, Model};

/// The only supported version of MuJoCo.
pub const VERSION: &str = "3.17.0";
