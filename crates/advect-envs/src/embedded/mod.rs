//! Environments that need nothing but this crate.

mod multi_goal;
mod pendulum;

pub use multi_goal::{GOALS, MultiGoal};
pub use pendulum::Pendulum;
