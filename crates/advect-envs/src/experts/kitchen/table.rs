//! The waypoints of each task.
//!
//! They were found offline on MuJoCo 3.17.0: inverse kinematics by damped least squares for points of the gripper beside the handles,
//! then a random search over these points for few steps under noisy actions. The servos do not hold the arm's weight, so each waypoint
//! is the posture plus what gravity takes away, `tau / (1.8 kp)`.

use crate::mujoco::KitchenTask;

/// Joints of the arm.
pub(super) const ARM: usize = 7;

/// A posture on the way.
#[derive(Debug)]
pub(super) struct Waypoint {
    /// Positions of the arm's joints, rad.
    pub(super) joints: [f64; ARM],
    /// Whether the fingers open, or close.
    pub(super) open: bool,
    /// Largest action on the way to it, in (0, 1].
    pub(super) speed: f64,
    /// Steps that it has.
    pub(super) steps: u32,
    /// Whether it takes all its steps, instead of ending when the arm is near.
    pub(super) stay: bool,
}

/// The order of the tasks: low things first, then along the hood to the cabinets.
pub(super) const ORDER: [KitchenTask; 7] = [
    KitchenTask::Kettle,
    KitchenTask::Microwave,
    KitchenTask::BottomBurner,
    KitchenTask::TopBurner,
    KitchenTask::LightSwitch,
    KitchenTask::SlideCabinet,
    KitchenTask::HingeCabinet,
];

/// The waypoints of a task; none where nothing is left to do.
pub(super) fn way(task: Option<KitchenTask>) -> &'static [Waypoint] {
    match task {
        None => &[],
        Some(KitchenTask::Kettle) => &KETTLE,
        Some(KitchenTask::Microwave) => &MICROWAVE,
        Some(KitchenTask::BottomBurner) => &BOTTOM_BURNER,
        Some(KitchenTask::TopBurner) => &TOP_BURNER,
        Some(KitchenTask::LightSwitch) => &LIGHT_SWITCH,
        Some(KitchenTask::SlideCabinet) => &SLIDE_CABINET,
        Some(KitchenTask::HingeCabinet) => &HINGE_CABINET,
    }
}

const OPEN: bool = true;
const CLOSED: bool = false;

/// A waypoint whose turn is over when the arm is near.
const fn to(joints: [f64; ARM], open: bool, speed: f64, steps: u32) -> Waypoint {
    Waypoint {
        joints,
        open,
        speed,
        steps,
        stay: false,
    }
}

/// A waypoint that takes all its steps.
const fn stay(joints: [f64; ARM], open: bool, speed: f64, steps: u32) -> Waypoint {
    Waypoint {
        stay: true,
        ..to(joints, open, speed, steps)
    }
}

/// In front of the hood, free of everything.
pub(super) const SAFE: Waypoint = to(
    [-0.551, -1.203, 1.022, -2.631, -0.055, 1.721, 0.999],
    OPEN,
    1.0,
    25,
);

const KETTLE: [Waypoint; 3] = [
    to(
        [-0.204, -1.5, 2.206, -2.424, 0.744, 0.957, 1.649],
        CLOSED,
        1.0,
        18,
    ),
    to(
        [-0.35, -1.66, 2.437, -2.33, 0.81, 1.049, 1.683],
        CLOSED,
        0.64,
        12,
    ),
    to(
        [-1.351, -1.726, 2.286, -2.273, 0.287, 2.083, 1.68],
        CLOSED,
        1.0,
        27,
    ),
];
const MICROWAVE: [Waypoint; 7] = [
    to(
        [-0.99, -1.717, 1.803, -1.464, -0.435, 0.848, 1.907],
        OPEN,
        1.0,
        22,
    ),
    stay(
        [-1.523, -1.71, 1.923, -0.788, -0.254, 0.359, 1.908],
        OPEN,
        0.6,
        8,
    ),
    stay(
        [-1.529, -1.711, 1.956, -0.938, -0.343, 0.551, 1.857],
        CLOSED,
        1.0,
        4,
    ),
    to(
        [-1.313, -1.712, 1.982, -0.901, -0.406, 0.067, 1.907],
        CLOSED,
        0.4,
        9,
    ),
    to(
        [-1.397, -1.703, 1.977, -0.576, -0.072, 0.019, 1.644],
        CLOSED,
        0.4,
        9,
    ),
    to(
        [-1.208, -1.709, 1.919, -0.597, -0.096, 0.019, 1.762],
        CLOSED,
        0.4,
        9,
    ),
    to(
        [-1.079, -1.709, 1.825, -0.598, -0.058, 0.019, 1.573],
        CLOSED,
        0.4,
        9,
    ),
];
const BOTTOM_BURNER: [Waypoint; 3] = [
    to(
        [-0.914, -1.512, 1.412, -2.608, 0.071, 1.32, 1.179],
        CLOSED,
        1.0,
        23,
    ),
    to(
        [-1.336, -1.364, 1.488, -2.291, 0.171, 1.313, 1.284],
        CLOSED,
        1.0,
        10,
    ),
    to(
        [-1.426, -1.397, 1.463, -1.761, 0.137, 1.32, 1.284],
        CLOSED,
        0.89,
        19,
    ),
];
const TOP_BURNER: [Waypoint; 3] = [
    to(
        [-0.864, -0.969, 1.028, -2.156, -0.177, 1.654, 0.911],
        CLOSED,
        1.0,
        25,
    ),
    to(
        [-1.369, -0.657, 1.423, -2.06, -0.339, 2.084, 0.888],
        CLOSED,
        1.0,
        17,
    ),
    to(
        [-1.3, -0.718, 1.226, -2.221, -0.261, 2.072, 0.923],
        CLOSED,
        1.0,
        16,
    ),
];
const LIGHT_SWITCH: [Waypoint; 3] = [
    to(
        [-0.914, -1.132, 1.037, -2.542, -0.159, 1.997, 0.95],
        CLOSED,
        1.0,
        23,
    ),
    to(
        [-1.341, -1.088, 1.427, -2.177, -0.049, 1.983, 1.141],
        CLOSED,
        1.0,
        9,
    ),
    to(
        [-1.695, -0.787, 2.029, -1.385, 0.02, 1.458, 0.861],
        CLOSED,
        0.74,
        22,
    ),
];
const SLIDE_CABINET: [Waypoint; 2] = [
    to(
        [-1.06, -0.764, 0.978, -2.344, -0.144, 2.084, 0.616],
        CLOSED,
        1.0,
        35,
    ),
    to(
        [-1.703, -0.793, 1.027, -2.024, -0.243, 1.554, 0.55],
        CLOSED,
        1.0,
        28,
    ),
];
const HINGE_CABINET: [Waypoint; 8] = [
    to(
        [-1.143, -1.185, 1.173, -1.44, -0.098, 1.149, 1.235],
        CLOSED,
        0.99,
        25,
    ),
    stay(
        [-1.633, -1.077, 1.445, -1.003, -0.011, 1.132, 1.127],
        CLOSED,
        0.82,
        8,
    ),
    to(
        [-1.478, -1.067, 1.335, -1.224, -0.038, 1.198, 1.109],
        CLOSED,
        0.71,
        9,
    ),
    to(
        [-1.279, -1.18, 1.146, -1.457, -0.1, 1.076, 1.102],
        CLOSED,
        0.7,
        9,
    ),
    to(
        [-0.919, -1.195, 1.008, -1.966, -0.079, 1.393, 1.066],
        CLOSED,
        0.97,
        9,
    ),
    to(
        [-0.668, -1.02, 0.811, -2.291, -0.249, 1.803, 0.893],
        CLOSED,
        0.72,
        5,
    ),
    to(
        [-0.558, -1.131, 0.681, -2.388, -0.241, 1.624, 0.874],
        CLOSED,
        0.72,
        9,
    ),
    to(
        [-0.327, -0.929, 0.35, -2.556, -0.402, 2.057, 0.831],
        CLOSED,
        0.7,
        7,
    ),
];
