//! Frames of simulations, and from where they are drawn.

use super::{Data, Model};
use crate::mujoco::screen;
use crate::{EnvError, Image};

/// From where a model is drawn: what the camera looks at, metres to it, and degrees about the vertical axis and up.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(in crate::mujoco) struct View {
    pub(in crate::mujoco) look_at: [f64; 3],
    pub(in crate::mujoco) distance: f64,
    pub(in crate::mujoco) azimuth: f64,
    pub(in crate::mujoco) elevation: f64,
}

impl Model {
    /// The same model, drawn from here.
    pub(in crate::mujoco) fn seen_from(mut self, view: View) -> Self {
        self.view = Some(view);
        self
    }

    /// From where to draw it, if that was said.
    pub(in crate::mujoco) fn view(&self) -> Option<View> {
        self.view
    }
}

impl Data {
    /// Draws the state into a frame: from where its environment says, with the model's camera `track`, or with its free camera if it has none.
    ///
    /// The frame shows the positions of the state, also where derived quantities are one step behind. Each thread keeps the OpenGL
    /// objects of the last four models that it drew, their copies counted with them, and these models.
    ///
    /// # Errors
    /// [`EnvError::BadFrame`], [`EnvError::EglUnavailable`], [`EnvError::EglFailed`], [`EnvError::MujocoFailed`].
    pub fn render(&self, width: usize, height: usize) -> Result<Image, EnvError> {
        screen::render(self, self.qpos(), width, height)
    }

    /// As [`Data::render`], at the positions `qpos [nq]`.
    ///
    /// # Errors
    /// As [`Data::render`].
    pub(in crate::mujoco) fn render_posed(
        &self,
        qpos: &[f64],
        width: usize,
        height: usize,
    ) -> Result<Image, EnvError> {
        screen::render(self, qpos, width, height)
    }
}
