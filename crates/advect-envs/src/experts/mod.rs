//! Controllers written by hand, which demonstrations are made with.

#[cfg(feature = "mujoco")]
mod kitchen;
mod maze2d;

use crate::EnvError;
use crate::embedded::MazeLayout;
use crate::options::Options;
use maze2d::Maze2dExpert;

/// A controller written by hand, for one task.
pub trait Expert: Send {
    /// Forgets the last episode.
    fn reset(&mut self);

    /// Writes the action `[act_dim]` for the observation `[obs_dim]`, in the units of the spec's bounds.
    ///
    /// # Errors
    /// [`EnvError::BadLength`], or [`EnvError::BadSetting`] for a state that the task cannot be in.
    fn act(&mut self, obs: &[f64], action: &mut [f32]) -> Result<(), EnvError>;
}

/// The expert of the environment `id`, with or without settings, if there is one.
///
/// # Errors
/// [`EnvError::BadSetting`] for settings that are none.
pub fn expert(id: &str) -> Result<Option<Box<dyn Expert>>, EnvError> {
    let (base, _) = Options::split(id)?;
    let maze = MazeLayout::ALL.into_iter().find(|maze| maze.id() == base);
    if let Some(maze) = maze {
        return Ok(Some(Box::new(Maze2dExpert::new(maze))));
    }
    Ok(kitchen_expert(base))
}

#[cfg(feature = "mujoco")]
fn kitchen_expert(id: &str) -> Option<Box<dyn Expert>> {
    kitchen::KitchenExpert::from_id(id).map(|expert| Box::new(expert) as Box<dyn Expert>)
}

#[cfg(not(feature = "mujoco"))]
fn kitchen_expert(_id: &str) -> Option<Box<dyn Expert>> {
    None
}
