//! The frames of image observations, a byte a number.

use super::hdf5::File;
use super::{DataError, Dataset};
use crate::ImageShape;

/// The entry with the frames before each transition, `[N, channels, height, width]`.
pub(super) const FRAMES: &str = "frames";
/// The entry with the frames after it.
pub(super) const NEXT_FRAMES: &str = "next_frames";

/// What the observations of a data set begin with.
#[derive(Debug, Clone, PartialEq)]
pub struct Frames {
    /// Their sizes.
    pub shape: ImageShape,
    /// Those before each transition `[N * shape.len()]`.
    pub obs: Vec<u8>,
    /// Those after it `[N * shape.len()]`.
    pub next_obs: Vec<u8>,
}

impl Frames {
    /// None recorded yet.
    pub fn new(shape: ImageShape) -> Self {
        Self {
            shape,
            obs: Vec::new(),
            next_obs: Vec::new(),
        }
    }

    /// Those of the first `rows` transitions.
    pub(super) fn first(&self, rows: usize) -> Self {
        let end = rows * self.shape.len();
        Self {
            shape: self.shape,
            obs: self.obs[..end].to_vec(),
            next_obs: self.next_obs[..end].to_vec(),
        }
    }

    /// Takes the frames off two observations and returns what stands behind them.
    pub(super) fn take<'a>(&mut self, obs: &'a [f32], next: &'a [f32]) -> (&'a [f32], &'a [f32]) {
        let len = self.shape.len().min(obs.len()).min(next.len());
        let ((own, rest), (next, next_rest)) = (obs.split_at(len), next.split_at(len));
        // whole numbers from 0 to 255
        self.obs.extend(own.iter().map(|value| *value as u8));
        self.next_obs.extend(next.iter().map(|value| *value as u8));
        (rest, next_rest)
    }
}

/// A file in our layout whose observations are frames and nothing else; `numbers` holds the other columns.
pub(super) fn read(file: &File, numbers: Dataset) -> Result<Dataset, DataError> {
    let (shape, obs) = file.frames(FRAMES)?;
    let (next_shape, next_obs) = file.frames(NEXT_FRAMES)?;
    let rows = numbers.len();
    if next_shape != shape || obs.len() != rows * shape.len() || next_obs.len() != obs.len() {
        let problem = format!("has not the shape [{rows}, ..] of `{FRAMES}` in every transition");
        return Err(DataError::bad(&file.path, NEXT_FRAMES, problem));
    }
    Ok(Dataset {
        frames: Some(Frames {
            shape,
            obs,
            next_obs,
        }),
        ..numbers
    })
}
