//! Pictures of a run as SVG: learning curves and policies over a plane.
//!
//! Everything is drawn from plain numbers into a string, so a picture needs no fonts, no display and no run directory.

mod contour;
mod curve;
mod density;
mod plane_field;
mod policy;
mod sheet;

pub use contour::{Segment, contour};
pub use curve::{Curve, EvaluationPoint, learning_curve};
pub use density::{DensityPicture, density_picture};
pub use plane_field::{PlaneField, plane_field};
pub use policy::{PolicyPicture, Trajectory, policy_picture};
pub use sheet::sheet;

use plotters::prelude::RGBColor;
use std::path::{Path, PathBuf};

/// Colours that stay apart for colour-blind readers (Okabe and Ito), strongest first.
const PALETTE: [RGBColor; 7] = [
    RGBColor(0, 114, 178),
    RGBColor(213, 94, 0),
    RGBColor(0, 158, 115),
    RGBColor(204, 121, 167),
    RGBColor(230, 159, 0),
    RGBColor(86, 180, 233),
    RGBColor(90, 90, 90),
];

/// The colour of the `index`-th thing in a picture.
fn colour(index: usize) -> RGBColor {
    PALETTE[index % PALETTE.len()]
}

/// Why a picture could not be made.
#[derive(Debug, thiserror::Error)]
pub enum PlotError {
    /// There is nothing to draw: no finite point.
    #[error(
        "nothing to draw in `{title}`: no finite point; let the run take at least one evaluation or finish one episode"
    )]
    Empty {
        /// The title of the picture.
        title: String,
    },
    /// The drawing library failed.
    #[error("drawing `{title}` failed: {cause}")]
    Draw {
        /// The title of the picture.
        title: String,
        /// What the drawing library said.
        cause: String,
    },
    /// The file could not be written.
    #[error("cannot write the picture {}; check that the folder exists and has room", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
}

impl PlotError {
    /// Wraps what plotters said while drawing `title`.
    fn draw(title: &str, cause: &dyn std::fmt::Display) -> Self {
        Self::Draw {
            title: title.into(),
            cause: cause.to_string(),
        }
    }
}

/// What drawing reports.
type Drawn = Result<(), Box<dyn std::error::Error>>;

/// The picture that `draw` draws, which has to show something.
fn drawn(
    title: &str,
    is_empty: bool,
    draw: impl FnOnce(&mut String) -> Drawn,
) -> Result<String, PlotError> {
    if is_empty {
        return Err(PlotError::Empty {
            title: title.into(),
        });
    }
    let mut svg = String::new();
    draw(&mut svg).map_err(|e| PlotError::draw(title, &e))?;
    Ok(svg)
}

/// Writes a picture beside its place and renames it, so that a reader never sees half of one.
///
/// # Errors
/// [`PlotError::Write`] when the folder is missing, read-only or full.
pub fn write_svg(path: &Path, svg: &str) -> Result<(), PlotError> {
    let wrap = |source| PlotError::Write {
        path: path.into(),
        source,
    };
    let beside = path.with_extension("svg.new");
    std::fs::write(&beside, svg).map_err(wrap)?;
    std::fs::rename(&beside, path).map_err(wrap)
}

/// The smallest and largest finite value, widened where they meet.
fn span(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    let fold =
        |acc: Option<(f64, f64)>, v: f64| Some(acc.map_or((v, v), |(l, h)| (l.min(v), h.max(v))));
    let (low, high) = values.filter(|v| v.is_finite()).fold(None, fold)?;
    let margin = if high > low {
        0.04 * (high - low)
    } else {
        0.5 + 0.05 * high.abs()
    };
    Some((low - margin, high + margin))
}

/// A number short enough for an axis: `1.5k`, `2M`, `-300`.
fn short_number(value: f64) -> String {
    let (scaled, unit) = match value.abs() {
        v if v >= 1e6 => (value / 1e6, "M"),
        v if v >= 1e4 => (value / 1e3, "k"),
        _ => (value, ""),
    };
    let text = format!("{scaled:.2}");
    let text = text.trim_end_matches('0').trim_end_matches('.');
    format!("{}{unit}", if text == "-0" { "0" } else { text })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_on_axes_are_short() {
        let shown = [1.5e6, 20_000.0, 1500.0, -0.001, 0.25].map(short_number);
        assert_eq!(shown, ["1.5M", "20k", "1500", "0", "0.25"]);
    }

    #[test]
    fn a_span_ignores_what_is_not_finite_and_is_never_empty() {
        assert_eq!(span([f64::NAN].into_iter()), None);
        let (low, high) = span([3.0, 3.0, f64::INFINITY].into_iter()).unwrap();
        assert!(low < 3.0 && high > 3.0);
    }

    #[test]
    fn a_picture_that_cannot_be_written_names_its_path() {
        let error = write_svg(Path::new("/nonexistent/folder/a.svg"), "<svg/>").unwrap_err();
        assert!(
            error.to_string().contains("/nonexistent/folder/a.svg"),
            "{error}"
        );
    }
}
