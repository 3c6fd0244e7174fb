//! A policy over one action: the density of its samples beside the reward.

use super::{Drawn, PlotError, colour, drawn, short_number};
use plotters::prelude::*;

/// What a picture of a one-dimensional policy shows.
pub struct DensityPicture<'a> {
    /// Its title.
    pub title: &'a str,
    /// Sampled actions in `[-1, 1]`.
    pub samples: &'a [f64],
    /// The reward of an action, at least 0.
    pub reward: &'a dyn Fn(f64) -> f64,
}

const SIZE: (u32, u32) = (550, 400);
const BINS: usize = 80;
const CURVE_POINTS: i32 = 400;

/// Draws the histogram of the samples as a density, and the reward scaled to its height.
///
/// # Errors
/// [`PlotError::Empty`] without a sample.
pub fn density_picture(picture: &DensityPicture) -> Result<String, PlotError> {
    let is_empty = picture.samples.is_empty();
    drawn(picture.title, is_empty, |svg| draw(svg, picture))
}

/// Density of the samples in each of the bins of `[-1, 1]`; what lies outside counts in the outermost.
fn density(samples: &[f64]) -> [f64; BINS] {
    let mut heights = [0.0; BINS];
    let width = 2.0 / BINS as f64;
    for sample in samples {
        let bin = ((sample + 1.0) / width).clamp(0.0, BINS as f64 - 1.0) as usize;
        heights[bin] += 1.0 / (samples.len() as f64 * width);
    }
    heights
}

fn draw(svg: &mut String, picture: &DensityPicture) -> Drawn {
    let heights = density(picture.samples);
    let top = 1.08 * heights.iter().copied().fold(0.0, f64::max);
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let mut chart = ChartBuilder::on(&root)
        .caption(picture.title, ("sans-serif", 17))
        .margin(12)
        .x_label_area_size(42)
        .y_label_area_size(50)
        .build_cartesian_2d(-1.0..1.0, 0.0..top)?;
    chart
        .configure_mesh()
        .disable_mesh()
        .x_desc("action")
        .y_desc("density")
        .x_label_formatter(&|v| short_number(*v))
        .y_label_formatter(&|v| short_number(*v))
        .axis_desc_style(("sans-serif", 16))
        .label_style(("sans-serif", 13))
        .draw()?;
    let edge = |bin: usize| -1.0 + 2.0 * bin as f64 / BINS as f64;
    let bars = heights.iter().enumerate().map(|(bin, height)| {
        let corners = [(edge(bin), 0.0), (edge(bin + 1), *height)];
        Rectangle::new(corners, colour(0).mix(0.55).filled())
    });
    chart.draw_series(bars)?;
    let actions = (-CURVE_POINTS..=CURVE_POINTS).map(|i| f64::from(i) / f64::from(CURVE_POINTS));
    let rewards: Vec<(f64, f64)> = actions.map(|a| (a, (picture.reward)(a))).collect();
    let highest = rewards
        .iter()
        .map(|(_, r)| *r)
        .fold(f64::MIN_POSITIVE, f64::max);
    let scaled = rewards
        .into_iter()
        .map(|(a, r)| (a, r / highest * top / 1.08));
    chart
        .draw_series(LineSeries::new(scaled, colour(1).stroke_width(2)))?
        .label("reward, scaled")
        .legend(|(x, y)| PathElement::new([(x, y), (x + 18, y)], colour(1).stroke_width(2)));
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperMiddle)
        .label_font(("sans-serif", 13))
        .draw()?;
    root.present()?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_density_has_mass_one_and_keeps_what_lies_outside() {
        let heights = density(&[-1.5, -1.0, 0.0, 0.5, 0.5, 1.0, 7.0]);
        let mass: f64 = heights.iter().sum::<f64>() * 2.0 / BINS as f64;
        assert!((mass - 1.0).abs() < 1e-12, "{mass}");
        assert_eq!(heights[0], 2.0 * heights[BINS / 2]);
        assert_eq!(heights[BINS - 1], heights[0]);
    }

    #[test]
    fn the_picture_shows_bars_and_reward() {
        let picture = DensityPicture {
            title: "two modes",
            samples: &[-0.6, 0.6, 0.61],
            reward: &|a| a.abs(),
        };
        let svg = density_picture(&picture).unwrap();
        for part in ["two modes", "density", "reward, scaled", "<polyline"] {
            assert!(svg.contains(part), "no `{part}` in the picture");
        }
        assert!(svg.matches("<rect").count() > BINS);
    }

    #[test]
    fn no_sample_is_an_error() {
        let picture = DensityPicture {
            title: "nothing",
            samples: &[],
            reward: &|_| 0.0,
        };
        assert!(matches!(
            density_picture(&picture),
            Err(PlotError::Empty { .. })
        ));
    }
}
