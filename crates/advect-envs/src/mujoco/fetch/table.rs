//! The facts of gymnasium-robotics 1.4.2's Fetch tasks, and of the one that FM-IRL is measured on.

use std::sync::LazyLock;

/// The task with the ids of `FetchConfig`'s settings.
pub(super) const HOLDOUT: &str = "FetchPickAndPlaceDiffHoldout-v0";

/// A task of the Fetch robot.
#[derive(Clone, Copy)]
pub(super) struct Task {
    /// Name before `-v4`, or `Dense-v4`.
    name: &'static str,
    pub(super) model: &'static str,
    /// `nq`, `nv` and `nu` of the model.
    pub(super) sizes: [usize; 3],
    /// Where the robot's base stands before it settles.
    pub(super) base: [f64; 3],
    /// Pose of the object before it settles, if there is one.
    pub(super) object: Option<[f64; 7]>,
    /// Height of the gripper above the one that it settles at otherwise.
    pub(super) extra_height: f64,
    /// Whether the fingers are held together.
    pub(super) blocked: bool,
    pub(super) places: Places,
    pub(super) view: View,
}

/// Where the object and the goal are drawn, relative to the settled gripper.
#[derive(Clone, Copy)]
pub(super) enum Places {
    /// The goal of the gripper: uniform in a cube.
    Cube { goal: f64 },
    /// Object and goal uniform in squares on the table, the object away from the gripper; half of the goals in the air if `air`.
    Table {
        object: f64,
        goal: f64,
        /// Offset of the goal along x.
        ahead: f64,
        air: bool,
    },
    /// Object on the left, goal on the right and in the air.
    Sides,
}

/// What is observed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum View {
    /// Gymnasium's: all features, the achieved and the desired goal.
    Whole,
    /// The first 13 features and the desired goal.
    Short,
}

const REACH: Task = Task {
    name: "FetchReach",
    model: "fetch/reach.xml",
    sizes: [15, 15, 0],
    base: [0.4049, 0.48, 0.0],
    object: None,
    extra_height: 0.2,
    blocked: true,
    places: Places::Cube { goal: 0.15 },
    view: View::Whole,
};

const PUSH: Task = Task {
    name: "FetchPush",
    model: "fetch/push.xml",
    sizes: [22, 21, 0],
    base: [0.405, 0.48, 0.0],
    object: Some([1.25, 0.53, 0.4, 1.0, 0.0, 0.0, 0.0]),
    extra_height: 0.0,
    places: Places::Table {
        object: 0.15,
        goal: 0.15,
        ahead: 0.0,
        air: false,
    },
    ..REACH
};

const SLIDE: Task = Task {
    name: "FetchSlide",
    model: "fetch/slide.xml",
    base: [0.05, 0.48, 0.0],
    object: Some([1.7, 1.1, 0.41, 1.0, 0.0, 0.0, 0.0]),
    extra_height: -0.02,
    places: Places::Table {
        object: 0.1,
        goal: 0.3,
        ahead: 0.4,
        air: false,
    },
    ..PUSH
};

const PICK: Task = Task {
    name: "FetchPickAndPlace",
    model: "fetch/pick_and_place.xml",
    sizes: [22, 21, 2],
    extra_height: 0.2,
    blocked: false,
    places: Places::Table {
        object: 0.15,
        goal: 0.15,
        ahead: 0.0,
        air: true,
    },
    ..PUSH
};

const SIDES: Task = Task {
    name: HOLDOUT,
    places: Places::Sides,
    view: View::Short,
    ..PICK
};

/// A task with its id.
pub(super) struct Row {
    pub(super) id: String,
    pub(super) task: Task,
    /// Whether the reward is the negative distance instead of -1 away from the goal.
    pub(super) dense: bool,
}

/// Every task.
pub(super) static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| {
    let mut rows = Vec::new();
    for task in [REACH, PUSH, SLIDE, PICK] {
        for (dense, suffix) in [(false, ""), (true, "Dense")] {
            let id = format!("{}{suffix}-v4", task.name);
            rows.push(Row { id, task, dense });
        }
    }
    rows.push(Row {
        id: HOLDOUT.to_owned(),
        task: SIDES,
        dense: false,
    });
    rows
});

impl Task {
    /// How many features it has: those of the gripper, and those of an object.
    pub(super) fn features(&self) -> usize {
        match self.object {
            None => 10,
            Some(_) => 25,
        }
    }

    /// Whether the episode ends at the goal.
    pub(super) fn ends_at_goal(&self) -> bool {
        self.view == View::Short
    }
}
