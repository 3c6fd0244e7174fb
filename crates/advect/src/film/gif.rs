//! GIF: no other program needed.

use super::FilmError;
use advect_envs::Image;
use gif::{Encoder, EncodingError, Frame, Repeat};
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// Speed of the choice of colours, 1 (best) to 30: the least that keeps smooth grounds smooth.
const SPEED: i32 = 10;

pub(super) fn write(path: &Path, frames: &[Image], fps: f64) -> Result<(), FilmError> {
    encode(path, frames, fps).map_err(|error| FilmError::Write {
        path: path.to_owned(),
        source: match error {
            EncodingError::Io(source) => source,
            other => io::Error::other(other),
        },
    })
}

fn encode(path: &Path, frames: &[Image], fps: f64) -> Result<(), EncodingError> {
    // frames have at most 4096 pixels in each direction
    let [width, height] = [frames[0].width(), frames[0].height()].map(|size| size as u16);
    let mut file = BufWriter::new(File::create(path)?);
    let mut encoder = Encoder::new(&mut file, width, height, &[])?;
    encoder.set_repeat(Repeat::Infinite)?;
    for frame in frames {
        let mut frame = Frame::from_rgb_speed(width, height, frame.bytes(), SPEED);
        frame.delay = delay(fps);
        encoder.write_frame(&frame)?;
    }
    drop(encoder);
    Ok(file.flush()?)
}

/// Hundredths of a second that a frame stays; browsers slow down what is shorter than two.
fn delay(fps: f64) -> u16 {
    (100.0 / fps).round().clamp(2.0, 6000.0) as u16
}
