//! Environments that need nothing but this crate.

mod acrobot;
mod cartpole;
pub mod maze2d;
mod mountain_car;
mod multi_goal;
mod numeric;
mod pendulum;
mod reacher;

pub use acrobot::AcrobotContinuous;
pub use cartpole::CartPoleSwingUp;
pub use maze2d::{Maze2d, Maze2dConfig, MazeLayout, waypoint_action};
pub use mountain_car::MountainCarContinuous;
pub use multi_goal::{GOALS, MultiGoal};
pub use pendulum::Pendulum;
pub use reacher::Reacher2d;
