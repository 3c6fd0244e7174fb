//! What a task of Gymnasium is made of; [`super::table`] has the tasks.

/// One task.
pub(in crate::mujoco) struct Task {
    pub(in crate::mujoco) id: &'static str,
    /// Model file of the gymnasium wheel.
    pub(in crate::mujoco) model: &'static str,
    /// Physics steps per environment step.
    pub(in crate::mujoco) frame_skip: u32,
    /// The observation, part after part.
    pub(in crate::mujoco) obs: &'static [Part],
    pub(in crate::mujoco) reward: Reward,
    /// What is added for not having terminated.
    pub(in crate::mujoco) alive: Alive,
    pub(in crate::mujoco) ctrl_cost: CtrlCost,
    pub(in crate::mujoco) contact_cost: ContactCost,
    /// When the episode goes on.
    pub(in crate::mujoco) healthy: Healthy,
    pub(in crate::mujoco) reset: Reset,
    pub(in crate::mujoco) max_episode_steps: u32,
    pub(in crate::mujoco) reward_threshold: Option<f64>,
}

/// A part of an observation. Bodies count from 0, the world.
#[derive(Clone, Copy)]
pub(in crate::mujoco) enum Part {
    /// Positions from this index on.
    QposFrom(usize),
    /// The first positions.
    QposHead(usize),
    /// Cosines of positions `from..from + len`.
    Cos {
        from: usize,
        len: usize,
    },
    /// Sines of positions `from..from + len`.
    Sin {
        from: usize,
        len: usize,
    },
    Qvel,
    /// The first velocities.
    QvelHead(usize),
    /// Velocities, each clipped to plus or minus this.
    QvelClipped(f64),
    /// Position of a body.
    Body(usize),
    /// The first `len` coordinates from one body to another.
    Between {
        from: usize,
        to: usize,
        len: usize,
    },
    /// Inertias of the bodies from this one on.
    CinertFrom(usize),
    /// Velocities of the bodies from this one on.
    CvelFrom(usize),
    /// Actuator forces of the joint velocities from this index on.
    QfrcActuatorFrom(usize),
    /// External forces on the bodies from this one on.
    CfrcExtFrom(usize),
    /// External forces on all bodies but the world, each clipped to plus or minus this.
    CfrcExtClipped(f64),
    /// The first constraint forces, each clipped to plus or minus 10.
    QfrcConstraintHead(usize),
}

impl Part {
    /// Whether `mj_rnePostConstraint` has to run for it.
    pub(in crate::mujoco) fn needs_contact_forces(self) -> bool {
        matches!(self, Self::CfrcExtFrom(_) | Self::CfrcExtClipped(_))
    }
}

/// What is rewarded, before costs and the bonus for being alive.
#[derive(Clone, Copy)]
pub(in crate::mujoco) enum Reward {
    None,
    /// `weight` times the velocity along x.
    Velocity {
        of: Forward,
        weight: f64,
    },
    /// Height of the root over the physics step, plus one.
    Height,
    /// Minus the distance of two bodies, after the step or before it.
    Reach {
        tip: usize,
        target: usize,
        when: When,
    },
    /// `-|object - goal| - |object - tip| / 2`
    Push {
        tip: usize,
        object: usize,
        goal: usize,
    },
    /// `-0.01 x^2 - (z - 2)^2 - 1e-3 v_1^2 - 5e-3 v_2^2` for the tip `(x, z)` of a double pendulum.
    Balance,
}

/// On which side of the physics a quantity is taken.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(in crate::mujoco) enum When {
    Before,
    After,
}

/// The x coordinate whose velocity is rewarded.
#[derive(Clone, Copy)]
pub(in crate::mujoco) enum Forward {
    /// The first position.
    Qpos0,
    /// This body's frame, one physics step behind the positions.
    Body(usize),
    /// The centre of mass, one physics step behind the positions.
    CentreOfMass,
}

/// The bonus for a step.
#[derive(Clone, Copy)]
pub(in crate::mujoco) enum Alive {
    /// On every step that does not terminate (v5).
    WhileHealthy(f64),
    /// On every step, the terminating one included (v4).
    Always(f64),
}

/// The cost `weight |a|^2` of an action.
#[derive(Clone, Copy)]
pub(in crate::mujoco) enum CtrlCost {
    None,
    /// In f32, NumPy's arithmetic on the f32 action.
    Action(f32),
    /// In f64, on the simulation's controls.
    Ctrl(f64),
}

/// The cost of contact forces, over all bodies, the world included.
#[derive(Clone, Copy)]
pub(in crate::mujoco) enum ContactCost {
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
pub(in crate::mujoco) enum Healthy {
    /// It never terminates.
    Always,
    /// Each given coordinate of (qpos, qvel) strictly inside its interval.
    Inside(&'static [Interval]),
    /// All of (qpos, qvel) finite, and the given coordinate in its closed interval.
    FiniteAnd(Interval),
    /// The first site above this height.
    SiteAbove(f64),
}

/// Coordinates `from..` (or `from` alone) of (qpos, qvel) and their bounds.
#[derive(Clone, Copy)]
pub(in crate::mujoco) struct Interval {
    pub(in crate::mujoco) from: usize,
    /// All coordinates from `from` on instead of that one.
    pub(in crate::mujoco) and_after: bool,
    pub(in crate::mujoco) low: f64,
    pub(in crate::mujoco) high: f64,
}

/// How the first state of an episode differs from the reference pose. `U(c)` is uniform between `-c` and `c`.
#[derive(Clone, Copy)]
pub(in crate::mujoco) enum Reset {
    /// `qpos += U(c)`, `qvel = U(c)`
    Uniform(f64),
    /// `qpos += U(c)`, `qvel = c N(0, 1)`
    UniformNormal(f64),
    /// `qpos += U(0.1)`, `qvel = U(0.005)`; the last two positions are a goal in the disc of radius 0.2, at rest.
    GoalInDisc,
    /// `qvel = U(0.005)`; positions 7 and 8 are the object in `[-0.3, 0] x [-0.2, 0.2]`, farther than 0.17 from the goal,
    /// which lies at zero; both at rest.
    ObjectOffGoal,
}
