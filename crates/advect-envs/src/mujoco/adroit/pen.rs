//! Turn a pen in the hand to a given direction.

use super::task::{Draw, Judgement, Scene, Slot, Task, Thing, minus, write};
use crate::mujoco::rotation;
use crate::mujoco::sim::Field;

const PEN: usize = 0;
/// Where the pen should stay.
const CENTRE: usize = 1;
/// Both ends of the pen, then of the target beside it.
const PEN_ENDS: [usize; 2] = [2, 3];
const TARGET_ENDS: [usize; 2] = [4, 5];
/// Positions and velocities of the pen are the last of each.
const PEN_JOINTS: usize = 6;
/// The pen is in place within this distance, and lies below this height when it was dropped.
const NEAR: f64 = 0.075;
/// The cosine of the angle to the target from which on the task is achieved.
const ALIGNED: f64 = 0.95;

pub(super) const TASK: Task = Task {
    ids: ["AdroitHandPen-v1", "AdroitHandPenSparse-v1"],
    model: "adroit_hand/adroit_pen.xml",
    sizes: [30, 30, 24],
    obs_dim: 45,
    things: &[
        Thing::Body("Object"),
        Thing::Site("eps_ball"),
        Thing::Site("object_top"),
        Thing::Site("object_bottom"),
        Thing::Site("target_top"),
        Thing::Site("target_bottom"),
    ],
    drawn: &[Slot {
        field: Field::BodyQuat,
        name: "target",
        from: 0,
        len: 4,
    }],
    draw: Draw::Tilt,
    lengths,
    observe,
    judge,
};

/// Length of the pen and of the target, which the directions are divided by.
fn lengths(scene: &Scene<'_>) -> [f64; 2] {
    [PEN_ENDS, TARGET_ENDS].map(|[top, bottom]| scene.distance(top, bottom))
}

/// Direction of the pen and of the target.
fn directions(scene: &Scene<'_>) -> [[f64; 3]; 2] {
    let direction = |[top, bottom]: [usize; 2], length: f64| {
        minus(scene.at(top), scene.at(bottom)).map(|part| part / length)
    };
    let [pen, target] = scene.lengths;
    [direction(PEN_ENDS, pen), direction(TARGET_ENDS, target)]
}

/// Hand, pen, its velocity and direction, the target's direction, pen - centre, difference of the directions.
fn observe(scene: &Scene<'_>, obs: &mut [f64]) {
    let (qpos, qvel) = (scene.data.qpos(), scene.data.qvel());
    let hand = &qpos[..qpos.len() - PEN_JOINTS];
    let speed = &qvel[qvel.len() - PEN_JOINTS..];
    let [direction, target] = directions(scene);
    let pen = scene.at(PEN);
    let off = minus(pen, scene.at(CENTRE));
    let turn = minus(direction, target);
    let parts: [&[f64]; 7] = [hand, &pen, speed, &direction, &target, &off, &turn];
    write(obs, &parts);
}

/// `cos - distance` for the cosine of the angle to the target and the distance to the centre; 10 and 50 for a pen in place with a cosine
/// above 0.9 and 0.95; -5 for a dropped one.
fn judge(scene: &Scene<'_>) -> Judgement {
    let pen = scene.at(PEN);
    let distance = rotation::norm(&minus(pen, scene.at(CENTRE)));
    let [direction, target] = directions(scene);
    let cosine: f64 = direction.iter().zip(&target).map(|(a, b)| a * b).sum();
    let mut reward = -distance + cosine;
    for (aligned, bonus) in [(0.9, 10.0), (ALIGNED, 50.0)] {
        if distance < NEAR && cosine > aligned {
            reward += bonus;
        }
    }
    if pen[2] < NEAR {
        reward -= 5.0;
    }
    Judgement {
        achieved: distance < NEAR && cosine > ALIGNED,
        reward,
    }
}
