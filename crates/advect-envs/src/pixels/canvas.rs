//! A small software rasteriser: circles, lines and rectangles with smooth edges.

use super::Image;
use crate::EnvError;

/// Red, green and blue.
pub type Colour = [u8; 3];

/// The background of every canvas.
const BACKGROUND: Colour = [255; 3];

/// Draws shapes, given in the coordinates of a task, into a frame.
///
/// A rectangle of the task's plane is fitted into the frame, in its middle, without distortion; y points up. A pixel on the edge of a
/// shape is mixed by how much of it the shape covers. Only sums, products, quotients and square roots of f64 are used,
/// which round alike everywhere: the same shapes give the same bytes on every machine.
///
/// ```
/// use advect_envs::pixels::Canvas;
/// let mut canvas = Canvas::new(9, 9, [-1.0, -1.0], [1.0, 1.0])?;
/// canvas.circle([0.0, 0.0], 0.5, [200, 0, 0]);
/// let frame = canvas.into_image();
/// assert_eq!(frame.pixel(4, 4), Some([200, 0, 0]));
/// assert_eq!(frame.pixel(0, 0), Some([255, 255, 255]));
/// # Ok::<(), advect_envs::EnvError>(())
/// ```
#[derive(Debug, Clone)]
pub struct Canvas {
    image: Image,
    /// Pixels for one unit of the task.
    scale: f64,
    /// The pixel coordinates of the task's origin.
    origin: [f64; 2],
}

impl Canvas {
    /// A white frame that shows the rectangle from `low` to `high`, and what lies beside it where the shapes differ.
    ///
    /// # Errors
    /// [`EnvError::BadFrame`] for a size that no frame has; [`EnvError::BadSetting`] for a rectangle that is empty or not finite.
    pub fn new(
        width: usize,
        height: usize,
        low: [f64; 2],
        high: [f64; 2],
    ) -> Result<Self, EnvError> {
        let image = Image::filled(width, height, BACKGROUND)?;
        let size = [width as f64, height as f64];
        let scale = (size[0] / (high[0] - low[0])).min(size[1] / (high[1] - low[1]));
        if !(low[0] < high[0] && low[1] < high[1] && scale.is_finite() && scale > 0.0) {
            return Err(EnvError::BadSetting {
                id: "a canvas".to_owned(),
                what: "the rectangle",
                problem: format!("from {low:?} to {high:?} is empty or not finite"),
            });
        }
        let middle = |axis: usize| 0.5 * (low[axis] + high[axis]) * scale;
        Ok(Self {
            image,
            scale,
            origin: [0.5 * size[0] - middle(0), 0.5 * size[1] + middle(1)],
        })
    }

    /// Where a point of the task is in the frame: column and row, each pixel's middle at one half.
    pub fn to_pixels(&self, [x, y]: [f64; 2]) -> [f64; 2] {
        [
            self.origin[0] + self.scale * x,
            self.origin[1] - self.scale * y,
        ]
    }

    /// A filled circle.
    pub fn circle(&mut self, centre: [f64; 2], radius: f64, colour: Colour) {
        self.line(centre, centre, 2.0 * radius, colour);
    }

    /// A line with round ends.
    pub fn line(&mut self, from: [f64; 2], to: [f64; 2], width: f64, colour: Colour) {
        let (from, to) = (self.to_pixels(from), self.to_pixels(to));
        let radius = 0.5 * width * self.scale;
        let reach = |axis: usize| {
            let (low, high) = (from[axis].min(to[axis]), from[axis].max(to[axis]));
            [low - radius, high + radius]
        };
        self.paint(reach(0), reach(1), colour, |point| {
            (0.5 + radius - distance_to_segment(point, from, to)).clamp(0.0, 1.0)
        });
    }

    /// A filled rectangle along the axes.
    pub fn rectangle(&mut self, low: [f64; 2], high: [f64; 2], colour: Colour) {
        let [left, bottom] = self.to_pixels(low);
        let [right, top] = self.to_pixels(high);
        self.paint([left, right], [top, bottom], colour, |[x, y]| {
            overlap(x, left, right) * overlap(y, top, bottom)
        });
    }

    /// The frame.
    pub fn into_image(self) -> Image {
        self.image
    }

    /// Mixes `colour` into the pixels around the given columns and rows, each by its `coverage`.
    fn paint(
        &mut self,
        columns: [f64; 2],
        rows: [f64; 2],
        colour: Colour,
        coverage: impl Fn([f64; 2]) -> f64,
    ) {
        let width = self.image.width();
        let columns = touched(columns, width);
        for row in touched(rows, self.image.height()) {
            for column in columns.clone() {
                let share = coverage([column as f64 + 0.5, row as f64 + 0.5]);
                let start = 3 * (row * width + column);
                mix(&mut self.image.bytes[start..start + 3], colour, share);
            }
        }
    }
}

/// The pixels of `0..count` that an interval touches, and one more on either side; none if it is not a number.
fn touched([low, high]: [f64; 2], count: usize) -> std::ops::Range<usize> {
    // casts of floats saturate
    let end = ((high + 2.0).max(0.0) as usize).min(count);
    let start = (low - 1.0).max(0.0) as usize;
    start.min(end)..end
}

fn mix(pixel: &mut [u8], colour: Colour, share: f64) {
    for (byte, colour) in pixel.iter_mut().zip(colour) {
        let old = f64::from(*byte);
        *byte = (old + share * (f64::from(colour) - old)).round() as u8;
    }
}

/// How much of the pixel about `middle` lies between the bounds, along one axis.
fn overlap(middle: f64, low: f64, high: f64) -> f64 {
    (high.min(middle + 0.5) - low.max(middle - 0.5)).clamp(0.0, 1.0)
}

fn distance_to_segment([x, y]: [f64; 2], from: [f64; 2], to: [f64; 2]) -> f64 {
    let along = [to[0] - from[0], to[1] - from[1]];
    let off = [x - from[0], y - from[1]];
    let squared = along[0] * along[0] + along[1] * along[1];
    let part = match squared > 0.0 {
        true => ((off[0] * along[0] + off[1] * along[1]) / squared).clamp(0.0, 1.0),
        false => 0.0,
    };
    let [dx, dy] = [off[0] - part * along[0], off[1] - part * along[1]];
    (dx * dx + dy * dy).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[allow(clippy::unwrap_used, reason = "a failed test")]
    fn shapes_cover_what_they_should_and_strange_numbers_draw_nothing_else() {
        let blank = || Canvas::new(8, 4, [0.0, 0.0], [8.0, 4.0]).unwrap();
        let mut canvas = blank();
        canvas.rectangle([1.0, 0.5], [3.0, 2.0], [0; 3]);
        let image = canvas.into_image();
        assert_eq!(image.pixel(1, 2), Some([0; 3]));
        // half of the pixel below
        assert_eq!(image.pixel(1, 3), Some([128; 3]));
        assert_eq!(image.pixel(3, 2), Some([255; 3]));
        assert_eq!(image.pixel(8, 0), None);
        for strange in [f64::NAN, f64::INFINITY, -f64::INFINITY, 1e300] {
            let mut canvas = blank();
            canvas.circle([strange, 1.0], 0.5, [0; 3]);
            canvas.line([strange, 1.0], [strange, strange], 0.5, [0; 3]);
            canvas.rectangle([1.0, 0.5], [strange, strange], [0; 3]);
        }
        for (low, high) in [([0.0; 2], [0.0; 2]), ([0.0; 2], [f64::NAN, 1.0])] {
            assert!(Canvas::new(8, 4, low, high).is_err());
        }
    }
}
