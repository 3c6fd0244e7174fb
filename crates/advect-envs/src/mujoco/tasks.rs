//! The facts of Gymnasium's MuJoCo tasks, each in one place: gymnasium 1.4.0's equations as a table.

/// One task.
pub(super) struct Task {
    pub(super) id: &'static str,
    /// Model file of the gymnasium wheel.
    pub(super) model: &'static str,
    /// Physics steps per environment step.
    pub(super) frame_skip: u32,
    /// The observation, part after part.
    pub(super) obs: &'static [Part],
    /// What moves forward along x.
    pub(super) forward: Forward,
    pub(super) forward_weight: f64,
    pub(super) ctrl_cost: CtrlCost,
    pub(super) contact_cost: ContactCost,
    /// When the episode goes on, and the reward for it.
    pub(super) healthy: Healthy,
    pub(super) healthy_reward: f64,
    pub(super) reset: ResetNoise,
    pub(super) max_episode_steps: u32,
    pub(super) reward_threshold: Option<f64>,
}

/// A part of an observation.
#[derive(Clone, Copy)]
pub(super) enum Part {
    /// Positions from this index on.
    QposFrom(usize),
    Qvel,
    /// Velocities, each clipped to plus or minus this.
    QvelClipped(f64),
    /// Inertias of all bodies but the world.
    Cinert,
    /// Velocities of all bodies but the world.
    Cvel,
    /// Actuator forces of the joint velocities from this index on.
    QfrcActuatorFrom(usize),
    /// External forces on all bodies but the world.
    CfrcExt,
    /// The same, each clipped to plus or minus this.
    CfrcExtClipped(f64),
}

impl Part {
    /// Whether `mj_rnePostConstraint` has to run for it.
    pub(super) fn needs_contact_forces(self) -> bool {
        matches!(self, Self::CfrcExt | Self::CfrcExtClipped(_))
    }
}

/// The x coordinate whose velocity is rewarded.
#[derive(Clone, Copy)]
pub(super) enum Forward {
    /// The first position.
    Qpos0,
    /// This body's frame, one physics step behind the positions.
    Body(usize),
    /// The centre of mass, one physics step behind the positions.
    CentreOfMass,
}

/// The cost `weight |a|^2` of an action.
#[derive(Clone, Copy)]
pub(super) enum CtrlCost {
    /// In f32, NumPy's arithmetic on the f32 action.
    Action(f32),
    /// In f64, on the simulation's controls.
    Ctrl(f64),
}

/// The cost of contact forces, over all bodies, the world included.
#[derive(Clone, Copy)]
pub(super) enum ContactCost {
    None,
    /// `weight * sum clip(f, +-bound)^2`
    Clipped {
        weight: f64,
        bound: f64,
    },
    /// `min(weight * sum f^2, most)`
    Capped {
        weight: f64,
        most: f64,
    },
}

/// When a task does not terminate.
#[derive(Clone, Copy)]
pub(super) enum Healthy {
    /// It never terminates.
    Always,
    /// Each given coordinate of (qpos, qvel) strictly inside its interval.
    Inside(&'static [Interval]),
    /// All of (qpos, qvel) finite, and the given coordinate in its closed interval.
    FiniteAnd(Interval),
}

/// Coordinates `from..` (or `from` alone) of (qpos, qvel) and their bounds.
#[derive(Clone, Copy)]
pub(super) struct Interval {
    pub(super) from: usize,
    /// All coordinates from `from` on instead of that one.
    pub(super) and_after: bool,
    pub(super) low: f64,
    pub(super) high: f64,
}

/// How the first state of an episode differs from the reference pose.
#[derive(Clone, Copy)]
pub(super) enum ResetNoise {
    /// `qpos += U(-c, c)`, `qvel = U(-c, c)`
    Uniform(f64),
    /// `qpos += U(-c, c)`, `qvel = c N(0, 1)`
    UniformNormal(f64),
}

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
    forward: Forward::Qpos0,
    forward_weight: 1.0,
    ctrl_cost: CtrlCost::Action(1e-3),
    contact_cost: ContactCost::None,
    healthy: Healthy::Always,
    healthy_reward: 0.0,
    reset: ResetNoise::Uniform(5e-3),
    max_episode_steps: 1000,
    reward_threshold: None,
};

/// Every task.
pub(super) const TASKS: &[Task] = &[
    Task {
        id: "HalfCheetah-v5",
        model: "half_cheetah.xml",
        frame_skip: 5,
        obs: &[Part::QposFrom(1), Part::Qvel],
        ctrl_cost: CtrlCost::Action(0.1),
        reset: ResetNoise::UniformNormal(0.1),
        reward_threshold: Some(4800.0),
        ..PLAIN
    },
    Task {
        id: "Hopper-v5",
        model: "hopper.xml",
        obs: &[Part::QposFrom(1), Part::QvelClipped(10.0)],
        healthy: Healthy::Inside(&[
            one(1, 0.7, f64::INFINITY),
            one(2, -0.2, 0.2),
            all_from(2, 100.0),
        ]),
        healthy_reward: 1.0,
        reward_threshold: Some(3800.0),
        ..PLAIN
    },
    Task {
        id: "Walker2d-v5",
        model: "walker2d_v5.xml",
        obs: &[Part::QposFrom(1), Part::QvelClipped(10.0)],
        healthy: Healthy::Inside(&[one(1, 0.8, 2.0), one(2, -1.0, 1.0)]),
        healthy_reward: 1.0,
        ..PLAIN
    },
    Task {
        id: "Ant-v5",
        model: "ant.xml",
        frame_skip: 5,
        obs: &[Part::QposFrom(2), Part::Qvel, Part::CfrcExtClipped(1.0)],
        forward: Forward::Body(1),
        ctrl_cost: CtrlCost::Action(0.5),
        contact_cost: ContactCost::Clipped {
            weight: 5e-4,
            bound: 1.0,
        },
        healthy: Healthy::FiniteAnd(one(2, 0.2, 1.0)),
        healthy_reward: 1.0,
        reset: ResetNoise::UniformNormal(0.1),
        reward_threshold: Some(6000.0),
        ..PLAIN
    },
    Task {
        id: "Humanoid-v5",
        model: "humanoid.xml",
        frame_skip: 5,
        obs: &[
            Part::QposFrom(2),
            Part::Qvel,
            Part::Cinert,
            Part::Cvel,
            Part::QfrcActuatorFrom(6),
            Part::CfrcExt,
        ],
        forward: Forward::CentreOfMass,
        forward_weight: 1.25,
        ctrl_cost: CtrlCost::Ctrl(0.1),
        contact_cost: ContactCost::Capped {
            weight: 5e-7,
            most: 10.0,
        },
        healthy: Healthy::Inside(&[one(2, 1.0, 2.0)]),
        healthy_reward: 5.0,
        reset: ResetNoise::Uniform(1e-2),
        ..PLAIN
    },
    Task {
        id: "Swimmer-v5",
        model: "swimmer.xml",
        obs: &[Part::QposFrom(2), Part::Qvel],
        ctrl_cost: CtrlCost::Action(1e-4),
        reset: ResetNoise::Uniform(0.1),
        reward_threshold: Some(360.0),
        ..PLAIN
    },
];
