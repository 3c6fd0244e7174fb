//! Gymnasium-Robotics' mazes: a ball or an ant on its way to a goal.

mod grid;
mod table;

use std::sync::Arc;

use advect_rng::Stream;

use super::gym::observation::{len_of, write_all};
use super::models;
use super::sim::{Data, Model};
use crate::options::Options;
use crate::state::{StateReader, StateWriter};
use crate::{Env, EnvError, EnvSpec, GoalLayout, Image, Step};
use table::{MazeTask, TASKS};

/// The goal is reached within this distance.
const NEAR: f64 = 0.45;
/// Goals and first places lie this far from the centre of their cell at most, on each axis, in cells.
const NOISE: f64 = 0.25;
/// First places lie farther than this from the goal, before the noise, in cells.
const APART: f64 = 0.5;
/// Coordinates of a goal.
const GOAL: usize = 2;

/// How a maze goes on at the goal; the default is Gymnasium-Robotics'.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MazeConfig {
    /// Whether the episode goes on at the goal instead of terminating; true by default.
    pub continuing_task: bool,
    /// Whether a continuing task draws another goal when one is reached; false by default.
    pub reset_target: bool,
}

impl Default for MazeConfig {
    fn default() -> Self {
        Self {
            continuing_task: true,
            reset_target: false,
        }
    }
}

impl MazeConfig {
    /// The settings behind an id: the names of these fields.
    pub(crate) fn take(options: &mut Options) -> Result<Self, EnvError> {
        let default = Self::default();
        Ok(Self {
            continuing_task: options.take("continuing_task", default.continuing_task)?,
            reset_target: options.take("reset_target", default.reset_target)?,
        })
    }
}

/// `PointMaze_*-v3` or `AntMaze_*-v5` and `-v4`, without its time limit ([`crate::make`] adds it).
///
/// The observation is Gymnasium's entries `observation`, `achieved_goal` and `desired_goal` behind one another. Each reset forks a
/// stream for the goals that [`MazeConfig::reset_target`] draws.
pub struct MazeEnv {
    task: &'static MazeTask,
    config: MazeConfig,
    spec: EnvSpec,
    data: Data,
    contact_forces: bool,
    /// Centres of the cells where an episode may begin and where a goal may lie.
    starts: Vec<[f64; GOAL]>,
    goals: Vec<[f64; GOAL]>,
    goal: [f64; GOAL],
    later_goals: Stream,
}

impl std::fmt::Debug for MazeEnv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("MazeEnv")
            .field("id", &self.task.id)
            .field("config", &self.config)
            .field("goal", &self.goal)
            .field("data", &self.data)
            .finish_non_exhaustive()
    }
}

impl MazeEnv {
    /// The ids that [`MazeEnv::new`] knows.
    pub fn ids() -> impl Iterator<Item = &'static str> {
        TASKS.iter().map(|task| task.id.as_str())
    }

    /// Builds the task `id`; environments of the same maze share the model.
    ///
    /// # Errors
    /// [`EnvError::UnknownId`], those of finding and opening MuJoCo, [`EnvError::MujocoModel`].
    pub fn new(id: &str, config: MazeConfig) -> Result<Self, EnvError> {
        let Some(task) = TASKS.iter().find(|task| task.id == id) else {
            return Err(EnvError::not_one_of(id, Self::ids()));
        };
        let model = models::shared(&task.model_name(), || compile(task))?;
        let agent = &task.agent;
        Ok(Self {
            task,
            config,
            spec: spec(task, &model),
            data: Data::new(model)?,
            contact_forces: agent.obs.iter().any(|part| part.needs_contact_forces()),
            starts: task.layout.starts(agent.cell),
            goals: task.layout.goals(agent.cell),
            goal: [0.0; GOAL],
            later_goals: Stream::new(0, "maze"),
        })
    }

    /// The simulation.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// Where the agent has to go.
    pub fn goal(&self) -> [f64; 2] {
        self.goal
    }

    /// Whether the agent is at the goal.
    fn at_goal(&self) -> bool {
        self.distance() <= NEAR
    }

    /// Starts an episode in the given state, `qpos [nq]` and `qvel [nv]`, with this goal.
    ///
    /// # Errors
    /// [`EnvError::BadLength`], [`EnvError::MujocoFailed`].
    pub fn reset_to(
        &mut self,
        qpos: &[f64],
        qvel: &[f64],
        goal: [f64; 2],
        obs: &mut [f64],
    ) -> Result<(), EnvError> {
        self.spec.check_obs(obs)?;
        self.data.start_from(&self.spec, qpos, qvel)?;
        self.data.forward()?;
        self.goal = goal;
        self.observe(obs);
        Ok(())
    }

    fn observe(&self, obs: &mut [f64]) {
        let (agent, goals) = obs.split_at_mut(self.spec.obs_dim - 2 * GOAL);
        write_all(self.task.agent.obs, &self.data, agent);
        goals[..GOAL].copy_from_slice(&self.data.qpos()[..GOAL]);
        goals[GOAL..].copy_from_slice(&self.goal);
    }

    fn distance(&self) -> f64 {
        let place = self.data.qpos();
        let [x, y] = self.goal;
        ((place[0] - x).powi(2) + (place[1] - y).powi(2)).sqrt()
    }

    fn send(&mut self, action: &[f32]) -> Result<(), EnvError> {
        let bound = self.task.agent.max_velocity;
        if let Some(bound) = bound {
            for velocity in self.data.qvel_mut() {
                *velocity = velocity.clamp(-bound, bound);
            }
            self.data.forward()?;
        }
        for (ctrl, action) in self.data.ctrl_mut().iter_mut().zip(action) {
            let sent = bound.map_or(*action, |_| action.clamp(-1.0, 1.0));
            *ctrl = f64::from(sent);
        }
        Ok(())
    }

    fn reward(&self) -> f64 {
        let distance = self.distance();
        match self.task.dense {
            true => (-distance).exp(),
            false => f64::from(u8::from(distance <= NEAR)),
        }
    }

    /// Draws another goal once one is reached, for the next observation.
    fn move_goal(&mut self) {
        let moves = self.config.continuing_task && self.config.reset_target;
        if moves && self.goals.len() > 1 {
            while self.at_goal() {
                let width = self.task.agent.cell;
                self.goal = drawn_near(&mut self.later_goals, &self.goals, width);
            }
        }
    }
}

impl Env for MazeEnv {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, rng: &mut Stream, obs: &mut [f64]) -> Result<(), EnvError> {
        self.spec.check_obs(obs)?;
        let width = self.task.agent.cell;
        let goal = drawn_near(rng, &self.goals, width);
        let start = loop {
            let [x, y] = drawn(rng, &self.starts);
            if (x - goal[0]).hypot(y - goal[1]) > APART * width {
                break [x, y];
            }
        };
        let start = with_noise(rng, start, width);
        // a fork does not depend on the position: the draw makes each episode's goals others
        let episode = rng.next_u64();
        self.later_goals = rng.fork(&format!("maze {episode}"));
        let model = Arc::clone(self.data.model());
        let mut qpos = model.qpos0().to_vec();
        qpos[..GOAL].copy_from_slice(&start);
        self.reset_to(&qpos, &vec![0.0; model.nv()], goal, obs)
    }

    fn step(&mut self, action: &[f32], obs: &mut [f64]) -> Result<Step, EnvError> {
        self.spec.check_action(action)?;
        self.spec.check_obs(obs)?;
        self.send(action)?;
        let agent = &self.task.agent;
        self.data.step(agent.frame_skip, self.contact_forces)?;
        self.observe(obs);
        let reward = self.reward();
        let done = !self.config.continuing_task && self.at_goal();
        self.move_goal();
        Ok(Step::ending(reward, done))
    }

    fn save_state(&self) -> Vec<u8> {
        StateWriter::new()
            .f64s(&self.goal)
            .stream(&self.later_goals)
            .f64s(&self.data.integration_state())
            .finish()
    }

    fn load_state(&mut self, state: &[u8]) -> Result<(), EnvError> {
        let mut reader = StateReader::new(&self.spec.id, state);
        let mut goal = [0.0; GOAL];
        reader.f64s(&mut goal)?;
        let later_goals = reader.stream()?;
        let mut integration = vec![0.0; self.data.integration_state_len()];
        reader.f64s(&mut integration)?;
        reader.finish()?;
        self.data.set_integration_state(&integration)?;
        (self.goal, self.later_goals) = (goal, later_goals);
        Ok(())
    }

    fn is_success(&self) -> Option<bool> {
        Some(self.at_goal())
    }

    fn render(&self, width: usize, height: usize) -> Result<Image, EnvError> {
        self.data.render(width, height)
    }
}

/// One of the cells.
fn drawn(rng: &mut Stream, cells: &[[f64; GOAL]]) -> [f64; GOAL] {
    let index = usize::try_from(rng.below(cells.len() as u64)).unwrap_or(0);
    cells.get(index).copied().unwrap_or_default()
}

/// A place in one of the cells.
fn drawn_near(rng: &mut Stream, cells: &[[f64; GOAL]], width: f64) -> [f64; GOAL] {
    let cell = drawn(rng, cells);
    with_noise(rng, cell, width)
}

fn with_noise(rng: &mut Stream, place: [f64; GOAL], width: f64) -> [f64; GOAL] {
    place.map(|coordinate| coordinate + NOISE * (2.0 * rng.uniform_f64() - 1.0) * width)
}

/// The agent's model with the walls of its maze.
fn compile(task: &MazeTask) -> Result<Model, EnvError> {
    let (agent, path) = (&task.agent, task.agent.path()?);
    let text = std::fs::read_to_string(&path).map_err(|error| EnvError::MujocoModel {
        model: path.display().to_string(),
        reason: error.to_string(),
    })?;
    let text = task.layout.built_around(&text, agent.cell, agent.wall)?;
    let model = Model::from_xml_str(&text)?;
    models::check_sizes(&model, &task.model_name(), agent.sizes)?;
    Ok(model)
}

fn spec(task: &MazeTask, model: &Model) -> EnvSpec {
    let (own, nu) = (len_of(task.agent.obs, model), model.nu());
    let spec = EnvSpec::symmetric(&task.id, own + 2 * GOAL, nu, 1.0);
    EnvSpec {
        goal: Some(GoalLayout {
            achieved: own..own + GOAL,
            desired: own + GOAL..own + 2 * GOAL,
        }),
        ..spec.with_time_limit(task.max_episode_steps())
    }
}
