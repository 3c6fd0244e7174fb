//! A function over a plane by its level lines, and points of several kinds on it.

use super::policy::{legend, scatter, square_chart};
use super::{Drawn, PlotError, contour, drawn};
use plotters::prelude::*;

/// What a picture of a field shows.
pub struct PlaneField<'a> {
    /// Its title.
    pub title: &'a str,
    /// Names of the axes.
    pub axes: (&'a str, &'a str),
    /// The plane is `[plane.0, plane.1]^2`.
    pub plane: (f64, f64),
    /// The function.
    pub field: &'a dyn Fn(f64, f64) -> f64,
    /// The levels to draw; the line of 0 is the thick one.
    pub levels: &'a [f64],
    /// Squares per side between which lines are interpolated.
    pub cells: usize,
    /// Points, and what they are.
    pub points: &'a [(&'a str, &'a [(f64, f64)])],
}

const SIZE: (u32, u32) = (620, 640);

/// Draws the field with its points.
///
/// # Errors
/// [`PlotError::Empty`] without a point.
pub fn plane_field(picture: &PlaneField) -> Result<String, PlotError> {
    let is_empty = picture.points.iter().all(|(_, points)| points.is_empty());
    drawn(picture.title, is_empty, |svg| draw(svg, picture))
}

fn draw(svg: &mut String, picture: &PlaneField) -> Drawn {
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = square_chart(&root, picture.title, picture.plane, picture.axes)?;
    for (index, (name, points)) in picture.points.iter().enumerate() {
        // the first kind lies below all others
        let shade = super::colour([6, 0, 1][index % 3]);
        scatter(&mut chart, points, name, shade)?;
    }
    for &level in picture.levels {
        let width = if level == 0.0 { 3 } else { 1 };
        let lines = contour(picture.field, picture.plane, picture.cells, level);
        let line = |segment| PathElement::new(segment, super::colour(1).stroke_width(width));
        chart.draw_series(lines.into_iter().map(line))?;
    }
    legend(&mut chart)?;
    root.present()?;
    drop(chart);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn picture<'a>(points: &'a [(&'a str, &'a [(f64, f64)])]) -> PlaneField<'a> {
        PlaneField {
            title: "a field",
            axes: ("u", "v"),
            plane: (-1.0, 1.0),
            field: &|x, y| x * x + y * y - 0.5,
            levels: &[0.0],
            cells: 20,
            points,
        }
    }

    #[test]
    fn it_shows_points_and_lines() {
        let svg = plane_field(&picture(&[("here", &[(0.0, 0.0), (0.5, 0.5)])])).unwrap();
        assert_eq!(svg.matches("<circle").count(), 3, "points and legend");
        assert!(svg.matches("<polyline").count() > 20, "no level lines");
        assert!(svg.contains("here") && svg.contains("a field"));
    }

    #[test]
    fn no_point_is_an_error() {
        let error = plane_field(&picture(&[("nothing", &[])])).unwrap_err();
        assert!(matches!(error, PlotError::Empty { .. }));
    }
}
