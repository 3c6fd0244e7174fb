//! Convolutions as matrix products: the windows of an image, one row each.

use candle_core::{Result, Tensor};

/// Windows along `length` pixels for a side and a step; `None` if not one fits.
pub(super) fn windows(length: usize, (side, step): (usize, usize)) -> Option<usize> {
    Some(length.checked_sub(side)? / step + 1)
}

/// Gathers windows as rows; a window's values come in pieces that lie together in the image.
///
/// One selection of pieces moves less than a value at a time would, and its gradient is one addition of pieces.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Unfold {
    /// Which pieces, window by window.
    index: Vec<u32>,
    /// Values of a piece.
    piece: usize,
    windows: usize,
}

impl Unfold {
    /// Windows of channel-first images `[B, c h w]`; a row has the order channel, row, column.
    pub fn planes([channels, height, width]: [usize; 3], window: (usize, usize)) -> Self {
        let (side, step) = window;
        // columns of a window that are selected together
        let piece = common(common(side, step), width);
        let line = width / piece;
        let of = |[y, x]: [usize; 2]| {
            let rows =
                (0..channels).flat_map(move |c| (0..side).map(move |dy| c * height + y + dy));
            let place = move |row: usize, dx: usize| (row * line + x / piece + dx) as u32;
            rows.flat_map(move |row| (0..side / piece).map(move |dx| place(row, dx)))
        };
        let corners = corners([height, width], window);
        Self {
            windows: corners.len(),
            index: corners.into_iter().flat_map(of).collect(),
            piece,
        }
    }

    /// Windows of tokens `[B, h w, e]`; a row has the order row, column, channel.
    pub fn tokens([height, width]: [usize; 2], embed: usize, window: (usize, usize)) -> Self {
        let (side, _) = window;
        let of = |[y, x]: [usize; 2]| {
            let inside = (0..side).flat_map(move |dy| (0..side).map(move |dx| [dy, dx]));
            inside.map(move |[dy, dx]| ((y + dy) * width + x + dx) as u32)
        };
        let corners = corners([height, width], window);
        Self {
            windows: corners.len(),
            index: corners.into_iter().flat_map(of).collect(),
            piece: embed,
        }
    }

    /// Values of a window.
    pub fn width(&self) -> usize {
        self.index.len() / self.windows.max(1) * self.piece
    }

    /// `[B, ..]` to `[B, windows, width]`.
    pub fn apply(&self, x: &Tensor) -> Result<Tensor> {
        let rows = x.dim(0)?;
        let index = Tensor::from_slice(&self.index, self.index.len(), x.device())?;
        let pieces = x.reshape((rows, (), self.piece))?;
        let taken = pieces.index_select(&index, 1)?;
        taken.reshape((rows, self.windows, self.width()))
    }
}

/// Upper left corners `[row, column]` of all windows, row by row.
fn corners([height, width]: [usize; 2], window: (usize, usize)) -> Vec<[usize; 2]> {
    let along = |length: usize| 0..windows(length, window).unwrap_or(0);
    let (_, step) = window;
    let row = |i: usize| along(width).map(move |j| [i * step, j * step]);
    along(height).flat_map(row).collect()
}

/// Greatest common divisor.
fn common(a: usize, b: usize) -> usize {
    match b {
        0 => a,
        b => common(b, a % b),
    }
}
