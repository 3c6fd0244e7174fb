//! Sizes of a task.

use advect_rl::{EnvSpec, ImageShape};

/// What an agent has to know of the environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dims {
    /// Width of the observation.
    pub obs: usize,
    /// Width of the action.
    pub act: usize,
}

/// A task: its sizes, and the frames that its observations begin with, if they do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Task {
    /// Sizes, frames included.
    pub dims: Dims,
    /// The frames.
    pub image: Option<ImageShape>,
}

impl From<Dims> for Task {
    fn from(dims: Dims) -> Self {
        Self { dims, image: None }
    }
}

impl From<&EnvSpec> for Task {
    fn from(spec: &EnvSpec) -> Self {
        let (obs, act) = (spec.obs_dim, spec.act_dim);
        Self {
            dims: Dims { obs, act },
            image: spec.image,
        }
    }
}

/// For an agent to which frames are numbers like any others.
impl From<Task> for Dims {
    fn from(task: Task) -> Self {
        task.dims
    }
}
