//! The expert of the embedded mazes.

use super::Expert;
use crate::EnvError;
use crate::embedded::maze2d::{Cell, MazeLayout, waypoint_action};

/// Follows a shortest way with [`waypoint_action`].
#[derive(Debug)]
struct Maze2dExpert {
    layout: MazeLayout,
    heading: Option<Cell>,
}

/// The expert of the maze `id`.
pub(super) fn expert(id: &str) -> Option<Box<dyn Expert>> {
    let layout = MazeLayout::ALL.into_iter().find(|maze| maze.id() == id)?;
    Some(Box::new(Maze2dExpert {
        layout,
        heading: None,
    }))
}

impl Expert for Maze2dExpert {
    fn reset(&mut self) {
        self.heading = None;
    }

    fn act(&mut self, obs: &[f64], action: &mut [f32]) -> Result<(), EnvError> {
        let found = action.len();
        let Ok(action) = <&mut [f32; 2]>::try_from(action) else {
            return Err(EnvError::BadLength {
                id: self.layout.id().to_owned(),
                what: "action",
                wanted: 2,
                found,
            });
        };
        *action = waypoint_action(self.layout, obs, &mut self.heading)?;
        Ok(())
    }
}
