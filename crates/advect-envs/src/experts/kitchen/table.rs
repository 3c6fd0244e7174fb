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
        [-0.2, -1.512, 2.168, -2.383, 0.717, 0.804, 1.659],
        CLOSED,
        0.98,
        16,
    ),
    to(
        [-0.394, -1.657, 2.37, -2.313, 0.818, 1.035, 1.598],
        CLOSED,
        0.86,
        12,
    ),
    to(
        [-1.283, -1.728, 2.222, -2.413, 0.13, 2.082, 1.784],
        CLOSED,
        1.0,
        25,
    ),
];
const MICROWAVE: [Waypoint; 7] = [
    to(
        [-0.985, -1.716, 1.852, -1.396, -0.521, 0.771, 1.95],
        OPEN,
        1.0,
        26,
    ),
    stay(
        [-1.397, -1.667, 1.948, -1.17, -0.295, 0.593, 1.99],
        OPEN,
        0.65,
        8,
    ),
    stay(
        [-1.571, -1.711, 1.905, -0.95, -0.364, 0.581, 1.848],
        CLOSED,
        1.0,
        3,
    ),
    to(
        [-1.537, -1.709, 1.884, -0.505, -0.223, 0.018, 1.762],
        CLOSED,
        0.49,
        8,
    ),
    to(
        [-1.394, -1.709, 1.985, -0.547, -0.084, 0.019, 1.639],
        CLOSED,
        0.4,
        9,
    ),
    to(
        [-1.163, -1.709, 1.913, -0.597, -0.073, 0.019, 1.766],
        CLOSED,
        0.7,
        9,
    ),
    to(
        [-1.061, -1.709, 1.837, -0.598, -0.062, 0.019, 1.613],
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
        [-1.427, -1.405, 1.46, -1.757, 0.146, 1.31, 1.304],
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
        [-1.298, -0.722, 1.228, -2.223, -0.244, 2.067, 0.935],
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
const HINGE_CABINET: [Waypoint; 5] = [
    to(
        [-1.154, -1.234, 1.145, -1.482, -0.109, 1.232, 1.247],
        CLOSED,
        1.0,
        25,
    ),
    stay(
        [-1.595, -0.886, 1.616, -1.061, -0.012, 1.327, 0.928],
        CLOSED,
        0.97,
        5,
    ),
    to(
        [-1.411, -1.185, 1.223, -1.549, 0.042, 1.508, 1.066],
        CLOSED,
        0.84,
        9,
    ),
    to(
        [-1.001, -1.073, 1.005, -1.967, -0.008, 1.267, 0.795],
        CLOSED,
        0.97,
        7,
    ),
    to(
        [-0.684, -1.09, 0.671, -2.435, -0.06, 1.709, 0.664],
        CLOSED,
        1.0,
        9,
    ),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waypoints_lie_within_the_robots_bounds() {
        // the bounds that the environment keeps the robot's positions in
        let low = [-2.9, -1.8, -2.9, -3.1, -2.9, 0.0, -2.9];
        let high = [2.9, 1.8, 2.9, 0.0, 2.9, 3.8, 2.9];
        let ways = ORDER.into_iter().flat_map(|task| way(Some(task)));
        for waypoint in ways.chain([&SAFE]) {
            assert!(waypoint.speed > 0.0 && waypoint.speed <= 1.0);
            assert!(waypoint.steps > 0);
            for (joint, position) in waypoint.joints.into_iter().enumerate() {
                let fits = low[joint] <= position && position <= high[joint];
                assert!(fits, "joint {joint} at {position}");
            }
        }
    }

    #[test]
    fn every_task_has_its_turn_once() {
        for task in KitchenTask::ALL {
            assert_eq!(ORDER.iter().filter(|other| **other == task).count(), 1);
            assert!(!way(Some(task)).is_empty());
        }
    }
}
