//! How first and desired rotations of the block are drawn.

use std::f64::consts::{FRAC_PI_2, PI};

use advect_rng::Stream;

use crate::mujoco::rotation::{Quat, about, from_euler, product, unit};

/// Which rotations there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Turn {
    /// Any angle about the vertical axis.
    Vertical,
    /// Any angle about the vertical axis, with any face of the block up.
    Parallel,
    /// Any angle about any axis.
    Any,
    /// FM-IRL's: about the vertical axis from near 0 to near a sixth of a turn.
    Third,
}

/// Half the width of FM-IRL's ranges, and the middle of that of the goals.
const NARROW: f64 = PI / 12.0;
const AHEAD: f64 = PI / 3.0;

/// Quarter turns about x, y and z that bring a block onto itself.
const FACES: [[i8; 3]; 24] = [
    [0, 0, 0],
    [0, 0, 1],
    [0, 0, -1],
    [0, 0, 2],
    [0, 1, 0],
    [0, 1, 1],
    [0, 1, -1],
    [0, 1, 2],
    [0, -1, 0],
    [0, -1, 1],
    [0, -1, -1],
    [0, -1, 2],
    [2, 0, 2],
    [2, 0, -1],
    [2, 0, 1],
    [2, 0, 0],
    [1, 0, 0],
    [1, 0, 1],
    [1, 0, -1],
    [1, 0, 2],
    [-1, 0, 2],
    [-1, 0, -1],
    [-1, 0, 1],
    [-1, 0, 0],
];

impl Turn {
    /// A first rotation of the block; `width` scales the range of [`Turn::Third`].
    pub(super) fn first(self, rng: &mut Stream, width: f64) -> Quat {
        match self {
            Self::Third => vertical(width * between(rng, NARROW)),
            _ => self.any(rng),
        }
    }

    /// A rotation to reach.
    pub(super) fn goal(self, rng: &mut Stream, width: f64) -> Quat {
        match self {
            Self::Third => vertical(AHEAD + width * between(rng, NARROW)),
            _ => self.any(rng),
        }
    }

    fn any(self, rng: &mut Stream) -> Quat {
        let angle = between(rng, PI);
        match self {
            Self::Vertical | Self::Third => vertical(angle),
            Self::Parallel => unit(product(vertical(angle), face(rng))),
            Self::Any => about(angle, [(); 3].map(|()| between(rng, 1.0))),
        }
    }
}

fn vertical(angle: f64) -> Quat {
    about(angle, [0.0, 0.0, 1.0])
}

fn face(rng: &mut Stream) -> Quat {
    let index = usize::try_from(rng.below(FACES.len() as u64)).unwrap_or(0);
    let turns = FACES.get(index).copied().unwrap_or_default();
    from_euler(turns.map(|quarters| FRAC_PI_2 * f64::from(quarters)))
}

/// Uniform between `-bound` and `bound`.
fn between(rng: &mut Stream, bound: f64) -> f64 {
    bound * (2.0 * rng.uniform_f64() - 1.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::mujoco::rotation::angle_between;

    #[test]
    fn the_faces_are_the_24_rotations_of_a_block() {
        let quats = FACES.map(|turns| from_euler(turns.map(|q| FRAC_PI_2 * f64::from(q))));
        for (index, a) in quats.iter().enumerate() {
            for b in &quats[..index] {
                let angle = angle_between(*a, *b);
                // between two of them there are 90, 120 or 180 degrees, either way round
                let least = angle.min(2.0 * PI - angle).to_degrees();
                let known = [90.0, 120.0, 180.0].iter();
                assert!(
                    known
                        .into_iter()
                        .any(|degrees| (least - degrees).abs() < 1e-5),
                    "{a:?} and {b:?}: {least}"
                );
            }
        }
    }

    #[test]
    fn fm_irl_turns_by_a_sixth_of_a_turn_at_most_a_quarter() {
        let mut rng = Stream::new(0, "turn");
        let still = [1.0, 0.0, 0.0, 0.0];
        let (mut least, mut most) = (f64::INFINITY, 0.0f64);
        for _ in 0..1000 {
            let first = Turn::Third.first(&mut rng, 1.0);
            let angle = angle_between(first, still);
            assert!(
                angle <= NARROW + 1e-9 && first[1..3] == [0.0; 2],
                "{first:?}"
            );
            let angle = angle_between(Turn::Third.goal(&mut rng, 1.0), still);
            (least, most) = (least.min(angle), most.max(angle));
        }
        assert!((3.0 * NARROW..3.01 * NARROW).contains(&least), "{least}");
        assert!((4.99 * NARROW..5.0 * NARROW).contains(&most), "{most}");
        let goal = Turn::Third.goal(&mut rng, 0.0);
        assert!((angle_between(goal, still) - AHEAD).abs() < 1e-9);
    }

    #[test]
    fn rotations_have_unit_length_and_all_directions() {
        let mut rng = Stream::new(0, "turn");
        for turn in [Turn::Vertical, Turn::Parallel, Turn::Any] {
            let mut seen = [0.0f64; 4];
            for _ in 0..200 {
                let quat = turn.goal(&mut rng, 1.0);
                let squares: f64 = quat.iter().map(|part| part * part).sum();
                assert!((squares - 1.0).abs() < 1e-12);
                for (seen, part) in seen.iter_mut().zip(quat) {
                    *seen = seen.max(part.abs());
                }
            }
            let flat = turn == Turn::Vertical;
            assert_eq!(seen[1..3] == [0.0; 2], flat, "{turn:?}: {seen:?}");
        }
    }
}
