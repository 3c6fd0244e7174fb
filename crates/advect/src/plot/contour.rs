//! Level sets of a function over a square, by marching squares with linear interpolation.

/// A piece of a level line, `[(x0, y0), (x1, y1)]`.
pub type Segment = [(f64, f64); 2];

/// One corner of a grid cell: position and value.
type Corner = (f64, f64, f64);

/// The level line `f(x, y) = level` over `[low, high]^2`, as segments of a grid of `cells * cells` squares.
///
/// Each square is cut into two triangles, so that there are no ambiguous cases.
///
/// ```
/// let circle = advect::plot::contour(|x, y| x * x + y * y, (-2.0, 2.0), 40, 1.0);
/// assert!(circle.iter().flatten().all(|&(x, y)| ((x * x + y * y).sqrt() - 1.0).abs() < 0.01));
/// ```
pub fn contour(
    f: impl Fn(f64, f64) -> f64,
    (low, high): (f64, f64),
    cells: usize,
    level: f64,
) -> Vec<Segment> {
    let at = |i: usize| low + (high - low) * i as f64 / cells as f64;
    let corner = |i: usize, j: usize| -> Corner { (at(i), at(j), f(at(i), at(j)) - level) };
    let mut segments = Vec::new();
    for i in 0..cells {
        for j in 0..cells {
            let (a, b, c, d) = (
                corner(i, j),
                corner(i + 1, j),
                corner(i + 1, j + 1),
                corner(i, j + 1),
            );
            segments.extend(cross_triangle([a, b, c]));
            segments.extend(cross_triangle([a, c, d]));
        }
    }
    segments
}

/// Where the zero line crosses a triangle: two of its edges, or nowhere.
fn cross_triangle([a, b, c]: [Corner; 3]) -> Option<Segment> {
    let mut points = [(a, b), (b, c), (c, a)]
        .into_iter()
        .filter_map(|(p, q)| cross_edge(p, q));
    Some([points.next()?, points.next()?])
}

fn cross_edge(p: Corner, q: Corner) -> Option<(f64, f64)> {
    if (p.2 < 0.0) == (q.2 < 0.0) {
        return None;
    }
    let s = p.2 / (p.2 - q.2);
    Some((p.0 + s * (q.0 - p.0), p.1 + s * (q.1 - p.1)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_circle_has_its_length() {
        let circle = contour(|x, y| x * x + y * y, (-3.0, 3.0), 60, 4.0);
        let length: f64 = circle
            .iter()
            .map(|[p, q]| (p.0 - q.0).hypot(p.1 - q.1))
            .sum();
        assert!(
            (length - 4.0 * std::f64::consts::PI).abs() < 0.05,
            "{length}"
        );
    }

    #[test]
    fn a_level_outside_the_range_has_no_line() {
        assert!(contour(|x, y| x * x + y * y, (-1.0, 1.0), 10, 9.0).is_empty());
    }
}
