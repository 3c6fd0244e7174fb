//! How much of a task's start is random.

use super::table::Task;
use super::turn::Turn;
use crate::EnvError;
use crate::options::Options;

/// The settings of the block in the hand; the default is the authors'.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct HandConfig {
    /// Scale of the noise on the block's first place, whose standard deviation is `0.005 m * noise` on each axis; 1 by default.
    ///
    /// FM-IRL's noise study sets it to 1, 1.25, ..., 2.25.
    pub noise: f64,
    /// Scale of the width of the ranges that `CustomHandManipulateBlockRotateZ-v0` draws its first and its desired angle from; 1 by
    /// default. The other tasks draw from full turns, and have nothing to scale.
    ///
    /// FM-IRL's paper has noise in the goals, too; its code, which is the default here, leaves both ranges as they are.
    pub rotation_noise: f64,
}

impl Default for HandConfig {
    fn default() -> Self {
        Self {
            noise: 1.0,
            rotation_noise: 1.0,
        }
    }
}

impl HandConfig {
    /// The settings behind an id: the names of these fields.
    pub(crate) fn take(options: &mut Options) -> Result<Self, EnvError> {
        let default = Self::default();
        Ok(Self {
            noise: options.take("noise", default.noise)?,
            rotation_noise: options.take("rotation_noise", default.rotation_noise)?,
        })
    }

    /// Checks that the scales are finite and not negative, `noise` at most 10, and that the task has the ranges that are to be scaled.
    pub(super) fn check(&self, task: &Task) -> Result<(), EnvError> {
        for (what, scale, most) in [
            ("noise", self.noise, 10.0),
            ("rotation_noise", self.rotation_noise, f64::MAX),
        ] {
            if !(0.0..=most).contains(&scale) {
                let problem = format!("is {scale}; give 0 or more, and 10 at most for noise");
                return Err(bad(task, what, problem));
            }
        }
        if self.rotation_noise != 1.0 && task.turn != Turn::Third {
            let problem =
                "has nothing to scale, because the block turns by any angle; leave it out";
            return Err(bad(task, "rotation_noise", problem.to_owned()));
        }
        Ok(())
    }
}

fn bad(task: &Task, what: &'static str, problem: String) -> EnvError {
    EnvError::BadSetting {
        id: task.id.to_owned(),
        what,
        problem,
    }
}
