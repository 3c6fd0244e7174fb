//! Learning curves: training returns as points, evaluations as a line with its band.

use super::{Drawn, PlotError, colour, short_number, span};
use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;

/// One evaluation of a curve.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct EvaluationPoint {
    /// Environment steps taken before it.
    pub step: f64,
    /// Mean return.
    pub mean: f64,
    /// Lower end of the band, for instance of a bootstrap interval or over seeds.
    pub low: f64,
    /// Upper end of the band.
    pub high: f64,
}

/// One curve of a picture: a run, or the mean of several.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Curve {
    /// Its name in the legend.
    pub label: String,
    /// Finished training episodes: (environment step, return). May be empty.
    pub training: Vec<(f64, f64)>,
    /// Evaluations, ordered by step.
    pub evaluations: Vec<EvaluationPoint>,
}

/// The drawing area of a picture with both axes in numbers.
type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;

const SIZE: (u32, u32) = (900, 560);
/// Height of a curve's line below the axes.
const LINE: u32 = 22;
/// More training points than this are thinned evenly, so that a picture stays small.
const MAX_POINTS: usize = 1500;

/// Draws curves over environment steps; the y axis is the return.
///
/// Training returns are drawn for a single curve, and for one without evaluations. Several curves are named below the axes.
///
/// # Errors
/// [`PlotError::Empty`] when no curve has a finite point.
///
/// ```
/// use advect::plot::{Curve, EvaluationPoint, learning_curve};
/// let evaluations = vec![EvaluationPoint { step: 100.0, mean: 1.0, low: 0.5, high: 1.5 }];
/// let curve = Curve { label: "sac".into(), training: vec![(10.0, 0.2)], evaluations };
/// assert!(learning_curve("SAC on Pendulum-v1", &[curve])?.contains("environment steps"));
/// # Ok::<(), advect::plot::PlotError>(())
/// ```
pub fn learning_curve(title: &str, curves: &[Curve]) -> Result<String, PlotError> {
    let empty = || PlotError::Empty {
        title: title.into(),
    };
    let shown: Vec<Curve> = curves
        .iter()
        .map(|curve| visible(curve, curves.len()))
        .collect();
    let x = span(shown.iter().flat_map(steps)).ok_or_else(empty)?;
    let y = span(shown.iter().flat_map(returns)).ok_or_else(empty)?;
    let mut svg = String::new();
    draw(&mut svg, title, &shown, (x.0.max(0.0), x.1), y)
        .map_err(|e| PlotError::draw(title, &e))?;
    Ok(svg)
}

/// What is drawn of a curve among `count`.
fn visible(curve: &Curve, count: usize) -> Curve {
    let mut shown = curve.clone();
    if count > 1 && !curve.evaluations.is_empty() {
        shown.training.clear();
    }
    shown
}

fn steps(curve: &Curve) -> impl Iterator<Item = f64> {
    let training = curve.training.iter().map(|p| p.0);
    training.chain(curve.evaluations.iter().map(|p| p.step))
}

/// The returns that set the y range: all evaluations, and training returns without their extreme percent.
fn returns(curve: &Curve) -> Vec<f64> {
    let mut training: Vec<f64> = curve
        .training
        .iter()
        .map(|p| p.1)
        .filter(|v| v.is_finite())
        .collect();
    training.sort_by(f64::total_cmp);
    let cut = training.len() / 100;
    let kept = &training[cut..training.len() - cut];
    let bands = curve
        .evaluations
        .iter()
        .flat_map(|p| [p.low, p.mean, p.high]);
    kept.iter().copied().chain(bands).collect()
}

fn draw(svg: &mut String, title: &str, curves: &[Curve], x: (f64, f64), y: (f64, f64)) -> Drawn {
    let (width, height) = SIZE;
    let below = match curves.len() {
        1 => 0,
        many => LINE * many as u32 + 10,
    };
    let root = SVGBackend::with_string(svg, (width, height + below)).into_drawing_area();
    root.fill(&WHITE)?;
    let (axes, names) = root.split_vertically(height);
    let mut chart = ChartBuilder::on(&axes)
        .caption(title, ("sans-serif", 22))
        .margin(14)
        .x_label_area_size(46)
        .y_label_area_size(70)
        .build_cartesian_2d(x.0..x.1, y.0..y.1)?;
    chart
        .configure_mesh()
        .x_desc("environment steps")
        .y_desc("return")
        .x_label_formatter(&|v| short_number(*v))
        .y_label_formatter(&|v| short_number(*v))
        .axis_desc_style(("sans-serif", 17))
        .label_style(("sans-serif", 14))
        .light_line_style(TRANSPARENT)
        .bold_line_style(BLACK.mix(0.1))
        .draw()?;
    for (index, curve) in curves.iter().enumerate() {
        draw_training(&mut chart, curve, colour(index), y)?;
    }
    for (index, curve) in curves.iter().enumerate() {
        draw_evaluations(&mut chart, curve, colour(index))?;
    }
    if curves.len() == 1 {
        legend(&mut chart)?;
    } else {
        name_curves(&names, curves)?;
    }
    root.present()?;
    Ok(())
}

/// Training returns: faint points and, where there are enough, a moving average.
fn draw_training(chart: &mut Chart, curve: &Curve, colour: RGBColor, y: (f64, f64)) -> Drawn {
    if curve.training.is_empty() {
        return Ok(());
    }
    let stride = curve.training.len().div_ceil(MAX_POINTS);
    let visible = curve
        .training
        .iter()
        .step_by(stride)
        .filter(|p| p.1 >= y.0 && p.1 <= y.1);
    chart.draw_series(visible.map(|&p| Circle::new(p, 2, colour.mix(0.18).filled())))?;
    let label = format!("{}: training, moving average", curve.label);
    let line = moving_average(&curve.training, (curve.training.len() / 20).clamp(1, 100));
    let style = colour.mix(0.55).stroke_width(1);
    let stride = line.len().div_ceil(MAX_POINTS);
    chart
        .draw_series(LineSeries::new(line.into_iter().step_by(stride), style))?
        .label(label)
        .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
    Ok(())
}

/// Evaluations: mean line with points, over a band.
fn draw_evaluations(chart: &mut Chart, curve: &Curve, colour: RGBColor) -> Drawn {
    if curve.evaluations.is_empty() {
        return Ok(());
    }
    let points = &curve.evaluations;
    let upper = points.iter().map(|p| (p.step, p.high));
    let band: Vec<(f64, f64)> = upper
        .chain(points.iter().rev().map(|p| (p.step, p.low)))
        .collect();
    chart.draw_series(std::iter::once(Polygon::new(band, colour.mix(0.2))))?;
    let mean = points.iter().map(|p| (p.step, p.mean));
    let style = colour.stroke_width(3);
    chart
        .draw_series(LineSeries::new(mean.clone(), style))?
        .label(format!("{}: evaluation", curve.label))
        .legend(move |(x, y)| PathElement::new([(x, y), (x + 18, y)], style));
    chart.draw_series(mean.map(|p| Circle::new(p, 4, colour.filled())))?;
    Ok(())
}

fn legend<'a, 'b: 'a>(chart: &mut Chart<'a, 'b>) -> Drawn {
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::LowerRight)
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.3))
        .label_font(("sans-serif", 14))
        .margin(8)
        .draw()?;
    Ok(())
}

/// One line below the axes for each curve: its colour and its name.
fn name_curves(area: &DrawingArea<SVGBackend, Shift>, curves: &[Curve]) -> Drawn {
    for (index, curve) in curves.iter().enumerate() {
        let y = (LINE * index as u32 + LINE / 2) as i32;
        let style = colour(index).stroke_width(3);
        area.draw(&PathElement::new([(84, y), (108, y)], style))?;
        let font = ("sans-serif", 14).into_font();
        area.draw(&Text::new(curve.label.clone(), (118, y - 8), font))?;
    }
    Ok(())
}

/// The mean of the last `window` returns at each episode.
fn moving_average(points: &[(f64, f64)], window: usize) -> Vec<(f64, f64)> {
    let mean = |end: usize| {
        let part = &points[(end + 1).saturating_sub(window)..=end];
        part.iter().map(|p| p.1).sum::<f64>() / part.len() as f64
    };
    (0..points.len()).map(|i| (points[i].0, mean(i))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn curve() -> Curve {
        let training = (0..50)
            .map(|i| (f64::from(i) * 10.0, f64::from(i)))
            .collect();
        let point = |i: u32| EvaluationPoint {
            step: f64::from(i) * 100.0,
            mean: f64::from(i),
            low: f64::from(i) - 1.0,
            high: f64::from(i) + 1.0,
        };
        Curve {
            label: "run".into(),
            training,
            evaluations: (1..5).map(point).collect(),
        }
    }

    #[test]
    fn a_curve_has_axes_a_band_and_a_legend() {
        let svg = learning_curve("sac on Pendulum-v1, seed 3", &[curve()]).unwrap();
        for part in [
            "sac on Pendulum-v1, seed 3",
            "environment steps",
            "return",
            "run: evaluation",
            "<polygon",
        ] {
            assert!(svg.contains(part), "no `{part}` in the picture");
        }
        assert_eq!(svg.matches("<circle").count(), 50 + 4);
    }

    #[test]
    fn several_curves_show_their_evaluations_and_their_names() {
        let named = |label: &str| Curve {
            label: label.into(),
            ..curve()
        };
        let unevaluated = Curve {
            evaluations: Vec::new(),
            ..named("c")
        };
        let svg = learning_curve("three", &[named("a"), named("b"), unevaluated]).unwrap();
        assert_eq!(svg.matches("<circle").count(), 4 + 4 + 50);
        for name in ["a", "b", "c"] {
            assert!(svg.contains(&format!("\n{name}\n")), "no `{name}`: {svg}");
        }
    }

    #[test]
    fn many_points_are_thinned() {
        let training = (0..100_000)
            .map(|i| (f64::from(i), (f64::from(i) * 0.1).sin()))
            .collect();
        let svg = learning_curve(
            "long",
            &[Curve {
                training,
                ..Curve::default()
            }],
        )
        .unwrap();
        assert!(svg.len() < 400_000, "{} bytes", svg.len());
    }

    #[test]
    fn no_point_is_an_error_that_names_the_picture() {
        let nothing = Curve {
            training: vec![(1.0, f64::NAN)],
            ..Curve::default()
        };
        let error = learning_curve("empty run", &[nothing]).unwrap_err();
        assert!(matches!(&error, PlotError::Empty { title } if title == "empty run"));
    }

    #[test]
    fn a_moving_average_uses_the_last_window() {
        let points = [(0.0, 1.0), (1.0, 3.0), (2.0, 5.0)];
        assert_eq!(
            moving_average(&points, 2),
            [(0.0, 1.0), (1.0, 2.0), (2.0, 4.0)]
        );
    }
}
