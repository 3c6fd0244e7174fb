//! Where objects and goals lie at the beginning of an episode.

use advect_rng::Stream;

use super::robot::Home;
use super::table::Places;

/// An object lies at least this far from the gripper, on the table.
const APART: f64 = 0.1;
/// Goals in the air lie up to this high above the table.
const AIR: f64 = 0.45;
/// Distance of the two sides from the gripper, along y.
const SIDE: f64 = 0.1;
/// Half the width of a side along x, its width along y, and the height of its goals.
const SIDE_X: f64 = 0.05;
const SIDE_Y: f64 = 0.04;
const SIDE_HEIGHT: f64 = 0.15;

impl Places {
    /// Where the object lies on the table; nothing for tasks without one.
    pub(super) fn object(self, rng: &mut Stream, home: &Home, noise: f64) -> Option<[f64; 2]> {
        let [x, y, _] = home.gripper;
        match self {
            Self::Cube { .. } => None,
            Self::Table { object, .. } => loop {
                let [dx, dy] = [around(rng, object), around(rng, object)];
                if dx.hypot(dy) >= APART {
                    return Some([x + dx, y + dy]);
                }
            },
            Self::Sides => {
                let dx = around(rng, SIDE_X * noise);
                Some([x + dx, y + SIDE + SIDE_Y * noise * rng.uniform_f64()])
            }
        }
    }

    /// Where the goal lies.
    pub(super) fn goal(self, rng: &mut Stream, home: &Home, noise: f64) -> [f64; 3] {
        let [x, y, z] = home.gripper;
        match self {
            Self::Cube { goal } => [x, y, z].map(|centre| centre + around(rng, goal)),
            Self::Table {
                goal, ahead, air, ..
            } => {
                let [dx, dy] = [around(rng, goal), around(rng, goal)];
                let lifted = air && rng.uniform_f64() < 0.5;
                let height = if lifted { AIR * rng.uniform_f64() } else { 0.0 };
                [x + dx + ahead, y + dy, home.object_height + height]
            }
            Self::Sides => {
                let dx = around(rng, SIDE_X * noise);
                let dy = SIDE + SIDE_Y * noise * rng.uniform_f64();
                [x + dx, y - dy, home.object_height + SIDE_HEIGHT]
            }
        }
    }
}

/// Uniform between `-range` and `range`.
fn around(rng: &mut Stream, range: f64) -> f64 {
    range * (2.0 * rng.uniform_f64() - 1.0)
}
