//! A policy over a plane: trajectories among the goals, and the actions that it samples at one state.

use super::{Drawn, PlotError, colour, contour, drawn, short_number};
use plotters::coord::Shift;
use plotters::prelude::*;

/// A point of the plane.
pub(super) type Point = (f64, f64);
pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// What a picture of a policy shows.
pub struct PolicyPicture<'a> {
    /// Its title.
    pub title: &'a str,
    /// The reward of standing at a position; its level lines are drawn.
    pub reward: &'a dyn Fn(f64, f64) -> f64,
    /// The levels of `reward` to draw.
    pub levels: &'a [f64],
    /// The plane is `[plane.0, plane.1]^2`.
    pub plane: (f64, f64),
    /// Centres of the goals.
    pub goals: &'a [Point],
    /// A goal is reached within this distance.
    pub goal_radius: f64,
    /// Trajectories of the policy, each from its start, with the goal that it reached.
    pub trajectories: &'a [Trajectory],
    /// Actions at the centre of the plane, in the unit box.
    pub actions: &'a [Point],
    /// Samples of the policy there before one is chosen; empty where nothing is chosen.
    pub samples: &'a [Point],
}

/// One episode over the plane.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Trajectory {
    /// Positions in order, the start first.
    pub points: Vec<Point>,
    /// Index of the goal that it reached, if any; it chooses the colour.
    pub goal: Option<usize>,
}

const SIZE: (u32, u32) = (1100, 600);
const CONTOUR_CELLS: usize = 70;

/// Draws the plane with its goals, level lines and trajectories on the left and the sampled actions on the right.
///
/// # Errors
/// [`PlotError::Empty`] without a trajectory or without an action.
pub fn policy_picture(picture: &PolicyPicture) -> Result<String, PlotError> {
    let is_empty = picture.trajectories.is_empty() || picture.actions.is_empty();
    drawn(picture.title, is_empty, |svg| draw(svg, picture))
}

fn draw(svg: &mut String, picture: &PolicyPicture) -> Drawn {
    let root = SVGBackend::with_string(svg, SIZE).into_drawing_area();
    root.fill(&WHITE)?;
    let root = root.titled(picture.title, ("sans-serif", 22))?;
    let (left, right) = root.split_horizontally(560);
    draw_plane(&left, picture)?;
    draw_actions(&right, picture)?;
    root.present()?;
    Ok(())
}

fn draw_plane(area: &Area, picture: &PolicyPicture) -> Drawn {
    let (low, high) = picture.plane;
    let mut chart = square_chart(
        area,
        "trajectories from the start distribution",
        (low, high),
        ("x", "y"),
    )?;
    for (index, &level) in picture.levels.iter().enumerate() {
        let shade = HSLColor(
            0.58,
            0.25,
            0.55 + 0.35 * index as f64 / picture.levels.len() as f64,
        );
        let lines = contour(picture.reward, picture.plane, CONTOUR_CELLS, level);
        chart.draw_series(
            lines
                .into_iter()
                .map(|s| PathElement::new(s, shade.stroke_width(1))),
        )?;
    }
    for (index, &goal) in picture.goals.iter().enumerate() {
        let ring = circle(goal, picture.goal_radius);
        chart.draw_series([Polygon::new(ring.clone(), colour(index).mix(0.25))])?;
        chart.draw_series([PathElement::new(ring, colour(index).stroke_width(2))])?;
    }
    for trajectory in picture.trajectories {
        let shade = trajectory.goal.map_or(RGBColor(110, 110, 110), colour);
        chart.draw_series(LineSeries::new(
            trajectory.points.iter().copied(),
            shade.mix(0.75),
        ))?;
        chart.draw_series(
            trajectory
                .points
                .iter()
                .map(|&p| Circle::new(p, 2, shade.mix(0.6).filled())),
        )?;
    }
    Ok(())
}

fn draw_actions(area: &Area, picture: &PolicyPicture) -> Drawn {
    let mut chart = square_chart(
        area,
        "actions sampled at the centre",
        (-1.15, 1.15),
        ("action 0", "action 1"),
    )?;
    let unit_box = [
        (-1.0, -1.0),
        (1.0, -1.0),
        (1.0, 1.0),
        (-1.0, 1.0),
        (-1.0, -1.0),
    ];
    chart.draw_series([PathElement::new(unit_box, BLACK.mix(0.4))])?;
    let chosen = if picture.samples.is_empty() {
        "actions"
    } else {
        "chosen by the critics"
    };
    scatter(
        &mut chart,
        picture.samples,
        "samples of the policy",
        colour(0),
    )?;
    scatter(&mut chart, picture.actions, chosen, colour(1))?;
    legend(&mut chart)
}

/// What the kinds of dots are.
pub(super) fn legend<'a, 'b: 'a>(chart: &mut PlaneChart<'a, 'b>) -> Drawn {
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperRight)
        .background_style(WHITE.mix(0.85))
        .border_style(BLACK.mix(0.3))
        .label_font(("sans-serif", 13))
        .draw()?;
    Ok(())
}

/// Dots with an entry in the legend.
pub(super) fn scatter(
    chart: &mut PlaneChart,
    points: &[Point],
    name: &str,
    shade: RGBColor,
) -> Drawn {
    if points.is_empty() {
        return Ok(());
    }
    let dots = points
        .iter()
        .map(|&p| Circle::new(p, 3, shade.mix(0.35).filled()));
    chart
        .draw_series(dots)?
        .label(name)
        .legend(move |(x, y)| Circle::new((x + 10, y), 4, shade.filled()));
    Ok(())
}

pub(super) type PlaneChart<'a, 'b> = ChartContext<
    'a,
    SVGBackend<'b>,
    Cartesian2d<plotters::coord::types::RangedCoordf64, plotters::coord::types::RangedCoordf64>,
>;

/// Axes over `[low, high]^2`.
pub(super) fn square_chart<'a, 'b>(
    area: &'a Area<'b>,
    caption: &str,
    (low, high): (f64, f64),
    (x_name, y_name): (&str, &str),
) -> Result<PlaneChart<'a, 'b>, Box<dyn std::error::Error>> {
    let mut chart = ChartBuilder::on(area)
        .caption(caption, ("sans-serif", 17))
        .margin(12)
        .x_label_area_size(42)
        .y_label_area_size(50)
        .build_cartesian_2d(low..high, low..high)?;
    chart
        .configure_mesh()
        .disable_mesh()
        .x_desc(x_name)
        .y_desc(y_name)
        .x_label_formatter(&|v| short_number(*v))
        .y_label_formatter(&|v| short_number(*v))
        .axis_desc_style(("sans-serif", 16))
        .label_style(("sans-serif", 13))
        .draw()?;
    Ok(chart)
}

fn circle(centre: Point, radius: f64) -> Vec<Point> {
    let angle = |i: u32| f64::from(i) / 48.0 * std::f64::consts::TAU;
    (0..=48)
        .map(|i| {
            (
                centre.0 + radius * angle(i).cos(),
                centre.1 + radius * angle(i).sin(),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOALS: [Point; 2] = [(5.0, 0.0), (-5.0, 0.0)];

    fn reward(x: f64, y: f64) -> f64 {
        -GOALS
            .iter()
            .map(|g| (g.0 - x).powi(2) + (g.1 - y).powi(2))
            .fold(f64::INFINITY, f64::min)
    }

    fn picture<'a>(trajectories: &'a [Trajectory], actions: &'a [Point]) -> PolicyPicture<'a> {
        PolicyPicture {
            title: "two goals",
            reward: &reward,
            levels: &[-4.0, -16.0],
            plane: (-7.0, 7.0),
            goals: &GOALS,
            goal_radius: 1.0,
            trajectories,
            actions,
            samples: &[(0.5, 0.5)],
        }
    }

    #[test]
    fn the_picture_shows_goals_lines_trajectories_and_actions() {
        let trajectory = Trajectory {
            points: vec![(0.0, 0.0), (2.0, 0.1), (4.5, 0.0)],
            goal: Some(0),
        };
        let svg = policy_picture(&picture(&[trajectory], &[(0.9, 0.0), (-0.9, 0.1)])).unwrap();
        assert_eq!(
            svg.matches("<circle").count(),
            3 + 2 + 1 + 2,
            "points, actions, samples, legend"
        );
        assert_eq!(svg.matches("<polygon").count(), 2);
        for part in [
            "two goals",
            "actions sampled at the centre",
            "action 0",
            "trajectories from",
        ] {
            assert!(svg.contains(part), "no `{part}` in the picture");
        }
        assert!(svg.matches("<polyline").count() > 100, "no level lines");
    }

    #[test]
    fn no_trajectory_is_an_error() {
        let error = policy_picture(&picture(&[], &[(0.0, 0.0)])).unwrap_err();
        assert!(matches!(error, PlotError::Empty { .. }));
    }
}
