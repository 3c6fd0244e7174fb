//! Take a hammer and drive a nail into a board.

use super::task::{Draw, Judgement, Scene, Slot, Task, Thing, no_lengths, write};
use crate::mujoco::rotation;
use crate::mujoco::sim::Field;

const PALM: usize = 0;
const HAMMER: usize = 1;
const HEAD: usize = 2;
const NAIL: usize = 3;
const GOAL: usize = 4;
/// Positions and velocities of the hammer are the last of each.
const HAMMER_JOINTS: usize = 6;
/// The model's first sensor measures the force on the nail.
const NAIL_SENSOR: usize = 0;
/// Height above which the hammer counts as lifted.
const LIFTED: f64 = 0.04;
/// The nail is in within this distance.
const IN: f64 = 0.01;

pub(super) const TASK: Task = Task {
    ids: ["AdroitHandHammer-v1", "AdroitHandHammerSparse-v1"],
    model: "adroit_hand/adroit_hammer.xml",
    sizes: [33, 33, 26],
    obs_dim: 46,
    things: &[
        Thing::Site("S_grasp"),
        Thing::Body("Object"),
        Thing::Site("tool"),
        Thing::Site("S_target"),
        Thing::Site("nail_goal"),
    ],
    drawn: &[Slot {
        field: Field::BodyPos,
        name: "nail_board",
        from: 2,
        len: 1,
    }],
    draw: Draw::Uniform(&[[0.1, 0.25]]),
    lengths: no_lengths,
    observe,
    judge,
};

/// Hand and nail, clipped velocity of the hammer, palm, hammer with its Euler angles, nail, clipped force on the nail.
fn observe(scene: &Scene<'_>, obs: &mut [f64]) {
    let (qpos, qvel) = (scene.data.qpos(), scene.data.qvel());
    let hand = &qpos[..qpos.len() - HAMMER_JOINTS];
    let speed: Vec<f64> = qvel[qvel.len() - HAMMER_JOINTS..]
        .iter()
        .map(|v| v.clamp(-1.0, 1.0))
        .collect();
    let angles = rotation::to_euler(scene.turned(HAMMER));
    let force = scene.data.sensordata()[NAIL_SENSOR].clamp(-1.0, 1.0);
    let [palm, hammer, nail] = [PALM, HAMMER, NAIL].map(|thing| scene.at(thing));
    let parts: [&[f64]; 7] = [hand, &speed, &palm, &hammer, &angles, &nail, &[force]];
    write(obs, &parts);
}

/// `0.1 |palm - hammer| - |head - nail| - 10 |nail - goal| - 0.01 |qvel|`, 2 for a lifted hammer, 25 and 75 within 2 cm and 1 cm of the
/// goal.
fn judge(scene: &Scene<'_>) -> Judgement {
    let distance = scene.distance(NAIL, GOAL);
    let mut reward = 0.1 * scene.distance(PALM, HAMMER);
    reward -= scene.distance(HEAD, NAIL);
    reward -= 10.0 * distance;
    reward -= 1e-2 * rotation::norm(scene.data.qvel());
    if scene.at(HAMMER)[2] > LIFTED && scene.at(HEAD)[2] > LIFTED {
        reward += 2.0;
    }
    for (near, bonus) in [(0.02, 25.0), (IN, 75.0)] {
        if distance < near {
            reward += bonus;
        }
    }
    Judgement {
        achieved: distance < IN,
        reward,
    }
}
