//! The facts of gymnasium-robotics 1.4.2's agents in mazes, and the ids that they make.

use std::path::PathBuf;
use std::sync::LazyLock;

use super::grid::{LAYOUTS, Layout, Size};
use crate::EnvError;
use crate::mujoco::gym::table::{ANT, ANT_V4};
use crate::mujoco::gym::task::Part;
use crate::mujoco::locate::Installation;

/// What moves through a maze.
#[derive(Clone, Copy)]
pub(super) struct Agent {
    /// Its name in ids.
    name: &'static str,
    version: &'static str,
    file: File,
    /// `nq`, `nv` and `nu` of its model.
    pub(super) sizes: [usize; 3],
    /// Width of a cell, metres.
    pub(super) cell: f64,
    /// Height of the walls, in cells.
    pub(super) wall: f64,
    pub(super) frame_skip: u32,
    /// The observation before the goals.
    pub(super) obs: &'static [Part],
    /// Bound of the velocities before each step, for an agent that needs one; its actions are then clipped as well.
    pub(super) max_velocity: Option<f64>,
    /// Time limit of a small, a medium and a large maze.
    limits: [u32; 3],
}

/// Which package has a model.
#[derive(Clone, Copy)]
enum File {
    Gymnasium(&'static str),
    Robotics(&'static str),
}

const POINT: Agent = Agent {
    name: "PointMaze",
    version: "v3",
    file: File::Robotics("point/point.xml"),
    sizes: [2, 2, 2],
    cell: 1.0,
    wall: 0.4,
    frame_skip: 1,
    obs: &[Part::QposFrom(0), Part::Qvel],
    max_velocity: Some(5.0),
    limits: [300, 600, 800],
};

const ANT_V5_AGENT: Agent = Agent {
    name: "AntMaze",
    version: "v5",
    file: File::Gymnasium(ANT.model),
    sizes: [15, 14, 8],
    cell: 4.0,
    wall: 0.5,
    frame_skip: ANT.frame_skip,
    obs: ANT.obs,
    max_velocity: None,
    limits: [700, 1000, 1000],
};

const AGENTS: [Agent; 3] = [
    POINT,
    ANT_V5_AGENT,
    Agent {
        version: "v4",
        frame_skip: ANT_V4.frame_skip,
        obs: ANT_V4.obs,
        ..ANT_V5_AGENT
    },
];

/// An agent in a maze.
pub(super) struct MazeTask {
    pub(super) id: String,
    pub(super) agent: Agent,
    pub(super) layout: Layout,
    /// Whether the reward is `exp(-distance)` instead of 1 near the goal.
    pub(super) dense: bool,
}

/// Every task.
pub(super) static TASKS: LazyLock<Vec<MazeTask>> = LazyLock::new(|| {
    let mut tasks = Vec::new();
    for agent in AGENTS {
        for layout in LAYOUTS {
            for (dense, suffix) in [(false, ""), (true, "Dense")] {
                let id = format!("{}_{}{suffix}-{}", agent.name, layout.name, agent.version);
                tasks.push(MazeTask {
                    id,
                    agent,
                    layout,
                    dense,
                });
            }
        }
    }
    tasks
});

impl Agent {
    /// Its model file.
    ///
    /// # Errors
    /// [`EnvError::MujocoUnavailable`].
    pub(super) fn path(&self) -> Result<PathBuf, EnvError> {
        let found = Installation::locate()?;
        match self.file {
            File::Gymnasium(name) => Ok(found.models.join(name)),
            File::Robotics(name) => found.robotics_file(name),
        }
    }
}

impl MazeTask {
    /// Name of its model: tasks that differ in rewards and goals only share it.
    pub(super) fn model_name(&self) -> String {
        let (agent, places) = (self.agent.name, self.layout.name);
        let walls = places.split("_Diverse").next().unwrap_or(places);
        format!("{agent} in {walls}")
    }

    pub(super) fn max_episode_steps(&self) -> u32 {
        let [small, medium, large] = self.agent.limits;
        match self.layout.size {
            Size::Small => small,
            Size::Medium => medium,
            Size::Large => large,
        }
    }
}
