//! First states.

use advect_rng::Stream;

use super::task::Reset;
use crate::mujoco::Data;

/// Noise of the arms' joint angles and velocities.
const ARM_ANGLE: f64 = 0.1;
const ARM_VELOCITY: f64 = 0.005;
/// Radius of the disc in which the reacher's goal lies.
const GOAL_RADIUS: f64 = 0.2;
/// The pusher's object starts at least this far from its goal.
const OBJECT_DISTANCE: f64 = 0.17;

impl Reset {
    /// Writes positions and velocities; the simulation is in its reference pose.
    pub(super) fn draw(self, rng: &mut Stream, data: &mut Data) {
        match self {
            Self::Uniform(scale) => {
                add(data.qpos_mut(), || between(rng, scale));
                fill(data.qvel_mut(), || between(rng, scale));
            }
            Self::UniformNormal(scale) => {
                add(data.qpos_mut(), || between(rng, scale));
                fill(data.qvel_mut(), || scale * rng.normal_f64());
            }
            Self::GoalInDisc => {
                add(data.qpos_mut(), || between(rng, ARM_ANGLE));
                fill(data.qvel_mut(), || between(rng, ARM_VELOCITY));
                let goal = accepted(|| {
                    let goal = [between(rng, GOAL_RADIUS), between(rng, GOAL_RADIUS)];
                    (norm(goal) < GOAL_RADIUS).then_some(goal)
                });
                last(data.qpos_mut(), 2).copy_from_slice(&goal);
                last(data.qvel_mut(), 2).fill(0.0);
            }
            Self::ObjectOffGoal => {
                fill(data.qvel_mut(), || between(rng, ARM_VELOCITY));
                let object = accepted(|| {
                    let object = [-0.3 * rng.uniform_f64(), between(rng, 0.2)];
                    (norm(object) > OBJECT_DISTANCE).then_some(object)
                });
                let [x, y] = object;
                last(data.qpos_mut(), 4).copy_from_slice(&[x, y, 0.0, 0.0]);
                last(data.qvel_mut(), 4).fill(0.0);
            }
        }
    }
}

fn between(rng: &mut Stream, bound: f64) -> f64 {
    bound * (2.0 * rng.uniform_f64() - 1.0)
}

fn add(values: &mut [f64], mut noise: impl FnMut() -> f64) {
    values.iter_mut().for_each(|value| *value += noise());
}

fn fill(values: &mut [f64], mut noise: impl FnMut() -> f64) {
    values.iter_mut().for_each(|value| *value = noise());
}

/// The first draw that is accepted.
fn accepted<T>(mut draw: impl FnMut() -> Option<T>) -> T {
    loop {
        if let Some(found) = draw() {
            return found;
        }
    }
}

fn norm([x, y]: [f64; 2]) -> f64 {
    x.hypot(y)
}

/// The last `count` numbers.
fn last(values: &mut [f64], count: usize) -> &mut [f64] {
    let start = values.len().saturating_sub(count);
    &mut values[start..]
}
