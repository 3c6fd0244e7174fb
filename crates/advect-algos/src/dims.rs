//! Sizes of a task.

/// What an agent has to know of the environment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Dims {
    /// Width of the observation.
    pub obs: usize,
    /// Width of the action.
    pub act: usize,
}
