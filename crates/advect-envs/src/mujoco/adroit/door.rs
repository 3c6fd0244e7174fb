//! Turn a latch and pull a door open.

use super::task::{Draw, Judgement, Scene, Slot, Task, Thing, minus, no_lengths, write};
use crate::mujoco::gym::reward::sum_of_squares;
use crate::mujoco::sim::Field;

const PALM: usize = 0;
const HANDLE: usize = 1;
/// Index of the hinge's position; the latch's is the next.
const HINGE: usize = 28;
/// Angle from which on the door is open.
const OPEN: f64 = 1.35;

pub(super) const TASK: Task = Task {
    ids: ["AdroitHandDoor-v1", "AdroitHandDoorSparse-v1"],
    model: "adroit_hand/adroit_door.xml",
    sizes: [30, 30, 28],
    obs_dim: 39,
    things: &[Thing::Site("S_grasp"), Thing::Site("S_handle")],
    drawn: &[Slot {
        field: Field::BodyPos,
        name: "frame",
        from: 0,
        len: 3,
    }],
    draw: Draw::Uniform(&[[-0.3, -0.2], [0.25, 0.35], [0.252, 0.35]]),
    lengths: no_lengths,
    observe,
    judge,
};

/// Hand but for its first joint, latch, hinge, palm, handle, palm - handle, 1 if the door is open wider than 1 rad, else -1.
fn observe(scene: &Scene<'_>, obs: &mut [f64]) {
    let qpos = scene.data.qpos();
    let (palm, handle) = (scene.at(PALM), scene.at(HANDLE));
    let (hinge, latch) = (qpos[HINGE], qpos[HINGE + 1]);
    let open = if hinge > 1.0 { 1.0 } else { -1.0 };
    let between = minus(palm, handle);
    let hand = &qpos[1..HINGE];
    write(
        obs,
        &[hand, &[latch, hinge], &palm, &handle, &between, &[open]],
    );
}

/// `0.1 |palm - handle| - 0.1 (hinge - 1.57)^2 - 1e-5 |qvel|^2` and bonuses of 2, 8 and 10 beyond 0.2, 1 and 1.35 rad.
fn judge(scene: &Scene<'_>) -> Judgement {
    let (qvel, hinge) = (scene.data.qvel(), scene.data.qpos()[HINGE]);
    let mut reward = 0.1 * scene.distance(PALM, HANDLE);
    reward += -0.1 * (hinge - 1.57) * (hinge - 1.57);
    reward += -1e-5 * sum_of_squares(qvel.len(), |i| qvel[i]);
    for (angle, bonus) in [(0.2, 2.0), (1.0, 8.0), (OPEN, 10.0)] {
        if hinge > angle {
            reward += bonus;
        }
    }
    Judgement {
        achieved: hinge >= OPEN,
        reward,
    }
}
