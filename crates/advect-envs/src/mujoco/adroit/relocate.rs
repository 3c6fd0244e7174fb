//! Take a ball to a place in the air.

use super::task::{Draw, Judgement, Scene, Slot, Task, Thing, minus, no_lengths, write};
use crate::mujoco::sim::Field;

const PALM: usize = 0;
const BALL: usize = 1;
const TARGET: usize = 2;
/// Positions of the ball are the last.
const BALL_JOINTS: usize = 6;
/// Height above which the ball counts as lifted.
const LIFTED: f64 = 0.04;
/// The ball is at the target within this distance.
const NEAR: f64 = 0.1;

pub(super) const TASK: Task = Task {
    ids: ["AdroitHandRelocate-v1", "AdroitHandRelocateSparse-v1"],
    model: "adroit_hand/adroit_relocate.xml",
    sizes: [36, 36, 30],
    obs_dim: 39,
    things: &[
        Thing::Site("S_grasp"),
        Thing::Body("Object"),
        Thing::Site("target"),
    ],
    drawn: &[
        Slot {
            field: Field::BodyPos,
            name: "Object",
            from: 0,
            len: 2,
        },
        Slot {
            field: Field::SitePos,
            name: "target",
            from: 0,
            len: 3,
        },
    ],
    draw: Draw::Uniform(&[
        [-0.15, 0.15],
        [-0.15, 0.3],
        [-0.2, 0.2],
        [-0.2, 0.2],
        [0.15, 0.35],
    ]),
    lengths: no_lengths,
    observe,
    judge,
};

/// Hand, palm - ball, palm - target, ball - target.
fn observe(scene: &Scene<'_>, obs: &mut [f64]) {
    let qpos = scene.data.qpos();
    let hand = &qpos[..qpos.len() - BALL_JOINTS];
    let [palm, ball, target] = [PALM, BALL, TARGET].map(|thing| scene.at(thing));
    let [a, b, c] = [minus(palm, ball), minus(palm, target), minus(ball, target)];
    write(obs, &[hand, &a, &b, &c]);
}

/// `0.1 |palm - ball|`; for a lifted ball `1 - 0.5 |palm - target| - 0.5 |ball - target|`; 10 and 20 within 10 cm and 5 cm of the target.
fn judge(scene: &Scene<'_>) -> Judgement {
    let distance = scene.distance(BALL, TARGET);
    let mut reward = 0.1 * scene.distance(PALM, BALL);
    if scene.at(BALL)[2] > LIFTED {
        reward += 1.0;
        reward += -0.5 * scene.distance(PALM, TARGET);
        reward += -0.5 * distance;
    }
    for (near, bonus) in [(NEAR, 10.0), (0.05, 20.0)] {
        if distance < near {
            reward += bonus;
        }
    }
    Judgement {
        achieved: distance < NEAR,
        reward,
    }
}
