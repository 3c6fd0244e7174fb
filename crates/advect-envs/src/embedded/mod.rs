//! Environments that need nothing but this crate.

mod acrobot;
mod bandit;
mod cartpole;
pub mod maze2d;
mod mountain_car;
mod multi_goal;
mod numeric;
mod pendulum;
mod reacher;

/// What is drawn in which colour.
mod colour {
    use crate::pixels::Colour;

    /// What is moved.
    pub(super) const BODY: Colour = [204, 60, 60];
    /// What it hangs on.
    pub(super) const JOINT: Colour = [30, 30, 40];
    /// Where it has to go.
    pub(super) const GOAL: Colour = [60, 170, 80];
    /// What stays: walls, tracks, first links.
    pub(super) const GROUND: Colour = [120, 130, 150];
}

pub use acrobot::AcrobotContinuous;
pub use bandit::TwoModeBandit;
pub use cartpole::CartPoleSwingUp;
pub use maze2d::{Maze2d, Maze2dConfig, MazeLayout, waypoint_action};
pub use mountain_car::MountainCarContinuous;
pub use multi_goal::{GOALS, MultiGoal};
pub use pendulum::Pendulum;
pub use reacher::Reacher2d;
