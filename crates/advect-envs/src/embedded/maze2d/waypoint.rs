//! The expert of the mazes: from cell to cell on a shortest way, by a proportional-derivative controller.

use super::bad_setting;
use super::grid::{Cell, MazeLayout, centre, neighbours};
use crate::EnvError;
use crate::embedded::numeric::distance;

const GAIN: f64 = 10.0;
const DAMPING: f64 = 1.0;
const REACHED: f64 = 0.1;
const OBS_DIM: usize = 6;

/// The expert's action for the observation `(x, y, vx, vy, gx, gy)`: `clip(10 (w - p) - v, +-1)` towards its waypoint `w`.
///
/// Waypoints are the centres of the cells on a shortest way, except that the last is the goal itself; the next one is taken up within
/// 0.1 of the last. `heading` is the cell of the waypoint, kept by the caller: start an episode with `None` and hand the same
/// variable to each call. A `heading` that is neither the ball's cell nor beside it is chosen anew.
///
/// After D4RL's controller, whose bound on speed for taking up the next waypoint (10 m/s) never binds, and which shifts its waypoints at random by
/// up to 0.2. FM-IRL's demonstrations add noise `N(0, 0.5^2)` to the action and clip it again.
///
/// # Errors
/// [`EnvError::BadLength`] unless the observation has six numbers; [`EnvError::BadSetting`] where the ball or the goal is in a wall.
pub fn waypoint_action(
    layout: MazeLayout,
    obs: &[f64],
    heading: &mut Option<Cell>,
) -> Result<[f32; 2], EnvError> {
    let &[x, y, vx, vy, goal_x, goal_y] = obs else {
        return Err(EnvError::BadLength {
            id: layout.id().to_owned(),
            what: "observation",
            wanted: OBS_DIM,
            found: obs.len(),
        });
    };
    let (position, goal) = ([x, y], [goal_x, goal_y]);
    let waypoint = next_waypoint(layout, position, goal, heading)?;
    Ok([(waypoint[0] - x, vx), (waypoint[1] - y, vy)]
        .map(|(error, speed)| (GAIN * error - DAMPING * speed).clamp(-1.0, 1.0) as f32))
}

/// The waypoint to head for, with `heading` brought up to date.
fn next_waypoint(
    layout: MazeLayout,
    position: [f64; 2],
    goal: [f64; 2],
    heading: &mut Option<Cell>,
) -> Result<[f64; 2], EnvError> {
    let ball = free_cell(layout, position, "ball position")?;
    let last = free_cell(layout, goal, "goal")?;
    let after = |cell| layout.next_cell(cell, last).unwrap_or(last);
    let near = |cell: &Cell| *cell == ball || neighbours(ball).contains(cell);
    let mut cell = heading
        .filter(|cell| near(cell) && layout.is_free(*cell))
        .unwrap_or_else(|| after(ball));
    if distance(position, centre(cell)) < REACHED {
        cell = after(cell);
    }
    *heading = Some(cell);
    Ok(if cell == last { goal } else { centre(cell) })
}

fn free_cell(layout: MazeLayout, position: [f64; 2], what: &'static str) -> Result<Cell, EnvError> {
    let cell = layout
        .cell_of(position)
        .filter(|cell| layout.is_free(*cell));
    let problem = || format!("is {position:?} and lies in a wall");
    cell.ok_or_else(|| bad_setting(layout, what, problem()))
}
