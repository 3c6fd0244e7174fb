//! A still picture: frames from the first to the last, row by row.

use super::FilmError;
use advect_envs::Image;
use std::path::Path;

/// Most frames of a sheet.
const FRAMES: usize = 24;
/// Frames of a row.
const COLUMNS: usize = 6;
/// Pixels between frames.
const GAP: usize = 2;

pub(super) fn write(path: &Path, frames: &[Image]) -> Result<(), FilmError> {
    Ok(sheet(&spread(frames))?.write_png(path)?)
}

/// At most [`FRAMES`] frames, evenly spread from the first to the last.
fn spread(frames: &[Image]) -> Vec<&Image> {
    let count = frames.len().min(FRAMES);
    let last = frames.len() - 1;
    let index = |i: usize| i * last / (count - 1).max(1);
    (0..count).map(|i| &frames[index(i)]).collect()
}

fn sheet(frames: &[&Image]) -> Result<Image, advect_envs::EnvError> {
    let (width, height) = (frames[0].width() + GAP, frames[0].height() + GAP);
    let columns = frames.len().min(COLUMNS);
    let rows = frames.len().div_ceil(columns);
    let mut sheet = Image::filled(columns * width - GAP, rows * height - GAP, [255; 3])?;
    for (index, frame) in frames.iter().enumerate() {
        let corner = (index % columns * width, index / columns * height);
        paste(frame, corner, &mut sheet);
    }
    Ok(sheet)
}

fn paste(frame: &Image, (left, top): (usize, usize), sheet: &mut Image) {
    let (row, sheet_row) = (3 * frame.width(), 3 * sheet.width());
    for (y, line) in frame.bytes().chunks_exact(row).enumerate() {
        let start = (top + y) * sheet_row + 3 * left;
        sheet.bytes_mut()[start..start + row].copy_from_slice(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_are_spread_from_the_first_to_the_last_and_laid_out_by_rows() {
        let frames: Vec<Image> = (0..70)
            .map(|i| Image::filled(4, 3, [i, 0, 0]).unwrap())
            .collect();
        let chosen = spread(&frames);
        let red = |image: &Image| image.bytes()[0];
        assert_eq!((chosen.len(), red(chosen[0]), red(chosen[23])), (24, 0, 69));
        let sheet = sheet(&chosen).unwrap();
        assert_eq!((sheet.width(), sheet.height()), (6 * 6 - 2, 4 * 5 - 2));
        assert_eq!(sheet.pixel(6, 0), Some([red(chosen[1]), 0, 0]));
        assert_eq!(sheet.pixel(0, 5), Some([red(chosen[6]), 0, 0]));
        assert_eq!(sheet.pixel(4, 0), Some([255; 3]), "the gap");
        assert_eq!(spread(&frames[..1]).len(), 1);
    }
}
