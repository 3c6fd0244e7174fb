//! A ball against the walls of a map: hard, frictionless and without rebound.

use super::grid::{Cell, MazeLayout, centre};

/// Radius of the ball in metres.
pub const RADIUS: f64 = 0.1;

const HALF_CELL: f64 = 0.5;
/// A concave corner needs two contacts and a dead end three; the rest is for rounding.
const MAX_CONTACTS: usize = 8;
/// Depths below this are rounding.
const TOLERANCE: f64 = 1e-12;

/// A wall cell that the ball overlaps.
#[derive(Debug, Clone, Copy)]
struct Contact {
    depth: f64,
    /// Unit vector out of the wall.
    normal: [f64; 2],
}

/// The distance of `position` from the square of `cell`, 0 within it, and the direction out of it.
fn separation(position: [f64; 2], cell: Cell) -> (f64, [f64; 2]) {
    let middle = centre(cell);
    let outward: [f64; 2] = std::array::from_fn(|i| {
        let offset = position[i] - middle[i];
        offset - offset.clamp(-HALF_CELL, HALF_CELL)
    });
    let distance = outward[0].hypot(outward[1]);
    (distance, outward.map(|component| component / distance))
}

/// The cells that the ball's bounding square at `position` touches.
fn touched(position: [f64; 2], layout: MazeLayout) -> impl Iterator<Item = Cell> {
    let corners = [[-1.0, -1.0], [-1.0, 1.0], [1.0, -1.0], [1.0, 1.0]];
    corners.into_iter().filter_map(move |side: [f64; 2]| {
        layout.cell_of([
            position[0] + RADIUS * side[0],
            position[1] + RADIUS * side[1],
        ])
    })
}

/// The wall that the ball overlaps most.
///
/// The deepest first: where the ball slides along two wall cells beside one another, pushing it out of the one that it faces also frees it
/// from the other's corner, so the seam between them is not felt.
fn deepest(position: [f64; 2], layout: MazeLayout) -> Option<Contact> {
    let walls = touched(position, layout).filter(|cell| !layout.is_free(*cell));
    let contacts = walls.map(|cell| {
        let (distance, normal) = separation(position, cell);
        Contact {
            depth: RADIUS - distance,
            normal,
        }
    });
    contacts
        .filter(|contact| contact.depth > TOLERANCE)
        .max_by(|a, b| a.depth.total_cmp(&b.depth))
}

/// How far the ball at `position` is inside of walls: at most 0 where it is free.
pub fn penetration(position: [f64; 2], layout: MazeLayout) -> f64 {
    let walls = touched(position, layout).filter(|cell| !layout.is_free(*cell));
    walls
        .map(|cell| RADIUS - separation(position, cell).0)
        .fold(0.0, f64::max)
}

/// Pushes the ball out of the walls and takes the part of its velocity that points into them.
///
/// The centre of the ball must be outside of the walls: before this, a step may move it by less than its radius.
pub fn resolve(position: &mut [f64; 2], velocity: &mut [f64; 2], layout: MazeLayout) {
    for _ in 0..MAX_CONTACTS {
        let Some(Contact { depth, normal }) = deepest(*position, layout) else {
            return;
        };
        let inward = (velocity[0] * normal[0] + velocity[1] * normal[1]).min(0.0);
        for i in 0..2 {
            position[i] += depth * normal[i];
            velocity[i] -= inward * normal[i];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{MazeLayout, RADIUS, penetration, resolve};

    fn resolved(position: [f64; 2], velocity: [f64; 2]) -> ([f64; 2], [f64; 2]) {
        let (mut position, mut velocity) = (position, velocity);
        resolve(&mut position, &mut velocity, MazeLayout::Medium);
        (position, velocity)
    }

    fn close(found: [f64; 2], wanted: [f64; 2]) {
        let error = (found[0] - wanted[0])
            .abs()
            .max((found[1] - wanted[1]).abs());
        assert!(error < 1e-12, "{found:?} for {wanted:?}");
    }

    /// The cell (1, 1) of the medium maze reaches from 0.3 to 1.3 and has walls below and left.
    #[test]
    fn a_wall_takes_the_normal_velocity_and_leaves_the_other() {
        let (position, velocity) = resolved([0.35, 0.8], [-2.0, 1.5]);
        close(position, [0.4, 0.8]);
        close(velocity, [0.0, 1.5]);
        // away from the wall nothing is taken
        let (position, velocity) = resolved([0.35, 0.8], [2.0, 1.5]);
        close(position, [0.4, 0.8]);
        close(velocity, [2.0, 1.5]);
    }

    #[test]
    fn a_free_ball_is_left_alone() {
        let (position, velocity) = resolved([0.8, 0.8], [-2.0, 1.5]);
        assert_eq!((position, velocity), ([0.8, 0.8], [-2.0, 1.5]));
    }

    #[test]
    fn a_concave_corner_stops_both_ways() {
        let (position, velocity) = resolved([0.35, 0.34], [-2.0, -1.5]);
        close(position, [0.4, 0.4]);
        close(velocity, [0.0, 0.0]);
    }

    /// Cells (2, 3) and (1, 3) are walls beside one another: nothing is felt where they meet at x = 1.3.
    #[test]
    fn the_seam_of_two_walls_is_not_felt() {
        for x in [1.2, 1.25, 1.299, 1.3, 1.301, 1.35] {
            let (position, velocity) = resolved([x, 2.25], [3.0, 0.5]);
            close(position, [x, 2.2]);
            close(velocity, [3.0, 0.0]);
        }
    }

    /// Cell (3, 1) is a wall whose corner (2.3, 1.3) sticks out between the free cells (2, 1), (2, 2) and (3, 2).
    #[test]
    fn a_convex_corner_pushes_along_the_line_to_the_centre() {
        let diagonal = 0.05 * std::f64::consts::FRAC_1_SQRT_2;
        let (position, velocity) = resolved([2.3 - diagonal, 1.3 + diagonal], [1.0, 0.0]);
        let moved = RADIUS * std::f64::consts::FRAC_1_SQRT_2;
        close(position, [2.3 - moved, 1.3 + moved]);
        close(velocity, [0.5, 0.5]);
        assert!(penetration(position, MazeLayout::Medium) < 1e-12);
    }
}
