//! The facts of Gymnasium's MuJoCo tasks, each in one place: gymnasium 1.4.0's equations as a table.
//!
//! Rows of version 4 name what differs from version 5. Pusher-v4 is missing as Gymnasium refuses it on MuJoCo 3.

use super::task::{
    Alive, ContactCost, CtrlCost, Forward, Healthy, Interval, Part, Reset, Reward, Task, When,
};

const fn one(index: usize, low: f64, high: f64) -> Interval {
    Interval {
        from: index,
        and_after: false,
        low,
        high,
    }
}

const fn all_from(from: usize, bound: f64) -> Interval {
    Interval {
        from,
        and_after: true,
        low: -bound,
        high: bound,
    }
}

/// What most of the tasks have in common.
const PLAIN: Task = Task {
    id: "",
    model: "",
    frame_skip: 4,
    obs: &[],
    reward: Reward::Velocity {
        of: Forward::Qpos0,
        weight: 1.0,
    },
    alive: Alive::WhileHealthy(0.0),
    ctrl_cost: CtrlCost::Action(1e-3),
    contact_cost: ContactCost::None,
    healthy: Healthy::Always,
    reset: Reset::Uniform(5e-3),
    max_episode_steps: 1000,
    reward_threshold: None,
};

const HALF_CHEETAH: Task = Task {
    id: "HalfCheetah-v5",
    model: "half_cheetah.xml",
    frame_skip: 5,
    obs: &[Part::QposFrom(1), Part::Qvel],
    ctrl_cost: CtrlCost::Action(0.1),
    reset: Reset::UniformNormal(0.1),
    reward_threshold: Some(4800.0),
    ..PLAIN
};

const HOPPER: Task = Task {
    id: "Hopper-v5",
    model: "hopper.xml",
    obs: &[Part::QposFrom(1), Part::QvelClipped(10.0)],
    alive: Alive::WhileHealthy(1.0),
    healthy: Healthy::Inside(&[
        one(1, 0.7, f64::INFINITY),
        one(2, -0.2, 0.2),
        all_from(2, 100.0),
    ]),
    reward_threshold: Some(3800.0),
    ..PLAIN
};

const WALKER2D: Task = Task {
    id: "Walker2d-v5",
    model: "walker2d_v5.xml",
    obs: &[Part::QposFrom(1), Part::QvelClipped(10.0)],
    alive: Alive::WhileHealthy(1.0),
    healthy: Healthy::Inside(&[one(1, 0.8, 2.0), one(2, -1.0, 1.0)]),
    ..PLAIN
};

pub(in crate::mujoco) const ANT: Task = Task {
    id: "Ant-v5",
    model: "ant.xml",
    frame_skip: 5,
    obs: &[Part::QposFrom(2), Part::Qvel, Part::CfrcExtClipped(1.0)],
    reward: Reward::Velocity {
        of: Forward::Body(1),
        weight: 1.0,
    },
    alive: Alive::WhileHealthy(1.0),
    ctrl_cost: CtrlCost::Action(0.5),
    contact_cost: ContactCost::Clipped {
        weight: 5e-4,
        bound: 1.0,
    },
    healthy: Healthy::FiniteAnd(one(2, 0.2, 1.0)),
    reset: Reset::UniformNormal(0.1),
    reward_threshold: Some(6000.0),
    ..PLAIN
};

pub(in crate::mujoco) const ANT_V4: Task = Task {
    id: "Ant-v4",
    obs: &[Part::QposFrom(2), Part::Qvel],
    alive: Alive::Always(1.0),
    contact_cost: ContactCost::None,
    ..ANT
};

const HUMANOID: Task = Task {
    id: "Humanoid-v5",
    model: "humanoid.xml",
    frame_skip: 5,
    obs: &[
        Part::QposFrom(2),
        Part::Qvel,
        Part::CinertFrom(1),
        Part::CvelFrom(1),
        Part::QfrcActuatorFrom(6),
        Part::CfrcExtFrom(1),
    ],
    reward: Reward::Velocity {
        of: Forward::CentreOfMass,
        weight: 1.25,
    },
    alive: Alive::WhileHealthy(5.0),
    ctrl_cost: CtrlCost::Ctrl(0.1),
    contact_cost: ContactCost::Capped {
        weight: 5e-7,
        most: 10.0,
    },
    healthy: Healthy::Inside(&[one(2, 1.0, 2.0)]),
    reset: Reset::Uniform(1e-2),
    ..PLAIN
};

/// The humanoid's observation in version 4: the world's rows and the root's forces included.
const HUMANOID_OBS_V4: &[Part] = &[
    Part::QposFrom(2),
    Part::Qvel,
    Part::CinertFrom(0),
    Part::CvelFrom(0),
    Part::QfrcActuatorFrom(0),
    Part::CfrcExtFrom(0),
];

const HUMANOID_STANDUP: Task = Task {
    id: "HumanoidStandup-v5",
    model: "humanoidstandup.xml",
    reward: Reward::Height,
    alive: Alive::WhileHealthy(0.0),
    healthy: Healthy::Always,
    ..HUMANOID
};

const SWIMMER: Task = Task {
    id: "Swimmer-v5",
    model: "swimmer.xml",
    obs: &[Part::QposFrom(2), Part::Qvel],
    ctrl_cost: CtrlCost::Action(1e-4),
    reset: Reset::Uniform(0.1),
    reward_threshold: Some(360.0),
    ..PLAIN
};

/// Bodies of the reacher: its fingertip and its goal.
const FINGERTIP: usize = 3;
const TARGET: usize = 4;

const REACHER: Task = Task {
    id: "Reacher-v5",
    model: "reacher.xml",
    frame_skip: 2,
    obs: &reacher_obs(2),
    reward: Reward::Reach {
        tip: FINGERTIP,
        target: TARGET,
        when: When::After,
    },
    ctrl_cost: CtrlCost::Action(1.0),
    reset: Reset::GoalInDisc,
    max_episode_steps: 50,
    reward_threshold: Some(-3.75),
    ..PLAIN
};

/// The reacher's observation with this many coordinates of the way from the goal to the fingertip.
const fn reacher_obs(len: usize) -> [Part; 5] {
    let way = Part::Between {
        from: TARGET,
        to: FINGERTIP,
        len,
    };
    [
        Part::Cos { from: 0, len: 2 },
        Part::Sin { from: 0, len: 2 },
        Part::QposFrom(2),
        Part::QvelHead(2),
        way,
    ]
}

const PUSHER: Task = Task {
    id: "Pusher-v5",
    model: "pusher_v5.xml",
    frame_skip: 5,
    obs: &[
        Part::QposHead(7),
        Part::QvelHead(7),
        Part::Body(10),
        Part::Body(11),
        Part::Body(12),
    ],
    reward: Reward::Push {
        tip: 10,
        object: 11,
        goal: 12,
    },
    ctrl_cost: CtrlCost::Action(0.1),
    reset: Reset::ObjectOffGoal,
    max_episode_steps: 100,
    reward_threshold: Some(0.0),
    ..PLAIN
};

const INVERTED_PENDULUM: Task = Task {
    id: "InvertedPendulum-v5",
    model: "inverted_pendulum.xml",
    frame_skip: 2,
    obs: &[Part::QposFrom(0), Part::Qvel],
    reward: Reward::None,
    alive: Alive::WhileHealthy(1.0),
    ctrl_cost: CtrlCost::None,
    healthy: Healthy::FiniteAnd(one(1, -0.2, 0.2)),
    reset: Reset::Uniform(1e-2),
    reward_threshold: Some(950.0),
    ..PLAIN
};

const INVERTED_DOUBLE_PENDULUM: Task = Task {
    id: "InvertedDoublePendulum-v5",
    model: "inverted_double_pendulum.xml",
    frame_skip: 5,
    obs: &double_pendulum_obs(1),
    reward: Reward::Balance,
    alive: Alive::WhileHealthy(10.0),
    ctrl_cost: CtrlCost::None,
    healthy: Healthy::SiteAbove(1.0),
    reset: Reset::UniformNormal(0.1),
    reward_threshold: Some(9100.0),
    ..PLAIN
};

/// The double pendulum's observation with this many constraint forces.
const fn double_pendulum_obs(forces: usize) -> [Part; 5] {
    [
        Part::QposHead(1),
        Part::Sin { from: 1, len: 2 },
        Part::Cos { from: 1, len: 2 },
        Part::QvelClipped(10.0),
        Part::QfrcConstraintHead(forces),
    ]
}

/// Every task.
pub(super) const TASKS: &[Task] = &[
    HALF_CHEETAH,
    HOPPER,
    WALKER2D,
    ANT,
    HUMANOID,
    HUMANOID_STANDUP,
    SWIMMER,
    REACHER,
    PUSHER,
    INVERTED_PENDULUM,
    INVERTED_DOUBLE_PENDULUM,
    Task {
        id: "HalfCheetah-v4",
        ..HALF_CHEETAH
    },
    Task {
        id: "Hopper-v4",
        alive: Alive::Always(1.0),
        ..HOPPER
    },
    Task {
        id: "Walker2d-v4",
        model: "walker2d.xml",
        alive: Alive::Always(1.0),
        ..WALKER2D
    },
    ANT_V4,
    Task {
        id: "Humanoid-v4",
        obs: HUMANOID_OBS_V4,
        alive: Alive::Always(5.0),
        contact_cost: ContactCost::None,
        ..HUMANOID
    },
    Task {
        id: "HumanoidStandup-v4",
        obs: HUMANOID_OBS_V4,
        ..HUMANOID_STANDUP
    },
    Task {
        id: "Swimmer-v4",
        ..SWIMMER
    },
    Task {
        id: "Reacher-v4",
        obs: &reacher_obs(3),
        reward: Reward::Reach {
            tip: FINGERTIP,
            target: TARGET,
            when: When::Before,
        },
        ..REACHER
    },
    Task {
        id: "InvertedPendulum-v4",
        alive: Alive::Always(1.0),
        ..INVERTED_PENDULUM
    },
    Task {
        id: "InvertedDoublePendulum-v4",
        obs: &double_pendulum_obs(3),
        alive: Alive::Always(10.0),
        ..INVERTED_DOUBLE_PENDULUM
    },
];
