//! Frames: what [`Env::render`](crate::Env::render) returns, PNG files of them, and the canvas that embedded tasks draw on.

mod canvas;
#[cfg(feature = "pixels")]
mod file;

pub use canvas::{Canvas, Colour};

use crate::EnvError;

/// The most pixels that a frame has in either direction.
pub const MOST_PIXELS: usize = 4096;

/// Sizes of the frames in an observation, channel first: all of the first channel, rows from top to bottom, then the next, in whole numbers
/// from 0 to 255.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageShape {
    /// Three for each frame.
    pub channels: usize,
    /// Number of rows.
    pub height: usize,
    /// Pixels in a row.
    pub width: usize,
}

impl ImageShape {
    /// Numbers that it takes, `channels height width`.
    #[allow(clippy::len_without_is_empty, reason = "no frame is empty")]
    pub fn len(self) -> usize {
        self.channels * self.height * self.width
    }
}

impl std::fmt::Display for ImageShape {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            channels,
            height,
            width,
        } = self;
        write!(f, "{channels} channels of {height}x{width}")
    }
}

/// A frame: rows from top to bottom, three bytes (red, green, blue) a pixel.
#[derive(Clone, PartialEq, Eq)]
pub struct Image {
    width: usize,
    height: usize,
    bytes: Vec<u8>,
}

impl std::fmt::Debug for Image {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Image")
            .field("width", &self.width)
            .field("height", &self.height)
            .finish_non_exhaustive()
    }
}

impl Image {
    /// A frame of one colour.
    ///
    /// # Errors
    /// [`EnvError::BadFrame`] unless both sizes are between 1 and [`MOST_PIXELS`].
    pub fn filled(width: usize, height: usize, colour: Colour) -> Result<Self, EnvError> {
        check_size(width, height)?;
        Ok(Self {
            width,
            height,
            bytes: colour.repeat(width * height),
        })
    }

    /// Pixels in a row.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Number of rows.
    pub fn height(&self) -> usize {
        self.height
    }

    /// All bytes `[height * width * 3]`.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// All bytes, to write to.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// The bytes, without the sizes.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// The colour in this column and row, counted from the upper left; `None` outside of the frame.
    pub fn pixel(&self, column: usize, row: usize) -> Option<Colour> {
        let inside = column < self.width && row < self.height;
        let start = inside.then(|| 3 * (row * self.width + column))?;
        self.bytes.get(start..start + 3)?.try_into().ok()
    }
}

/// Refuses sizes that no frame has.
pub(crate) fn check_size(width: usize, height: usize) -> Result<(), EnvError> {
    let fits = |size: usize| (1..=MOST_PIXELS).contains(&size);
    if fits(width) && fits(height) {
        return Ok(());
    }
    Err(EnvError::BadFrame {
        width,
        height,
        most: MOST_PIXELS,
    })
}
