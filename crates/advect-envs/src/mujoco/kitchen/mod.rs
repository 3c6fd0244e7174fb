//! Gymnasium-Robotics' kitchen: a robot arm with up to seven things to do, each rewarded once.

mod config;
mod robot;
mod task;

use advect_rng::Stream;

pub use config::KitchenConfig;
pub use task::KitchenTask;

use super::locate::Installation;
use super::models;
use super::sim::{Data, Model};
use crate::state::{StateReader, StateWriter};
use crate::{Env, EnvError, EnvSpec, Image, Step};
use robot::{FIRST_QPOS, FRAME_SKIP, MAX_STEPS, NQ, NV, OBS, ROBOT};
use task::TaskSet;

const MODEL: &str = "kitchen_franka/kitchen_assets/kitchen_env_model.xml";

/// `FrankaKitchen-v1`, without its time limit ([`crate::make`] adds it).
///
/// The observation is Gymnasium's entry `observation`. An action asks for joint velocities, which become positions to hold,
/// counted from the last *observed* positions, noise included, as in Gymnasium. Every episode begins in the same state; only the
/// noise is random, and each reset forks a stream for it.
pub struct KitchenEnv {
    config: KitchenConfig,
    spec: EnvSpec,
    data: Data,
    /// The robot's positions as last observed.
    observed: [f64; ROBOT],
    noise: Stream,
    /// All tasks of the episode.
    tasks: TaskSet,
    /// Those that are still rewarded.
    to_do: TaskSet,
    completed: TaskSet,
}

impl std::fmt::Debug for KitchenEnv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("KitchenEnv")
            .field("config", &self.config)
            .field("completed", &self.completed)
            .field("data", &self.data)
            .finish_non_exhaustive()
    }
}

impl KitchenEnv {
    /// The ids that are listed; [`KitchenConfig::from_id`] knows more.
    pub fn ids() -> impl Iterator<Item = &'static str> {
        config::listed()
    }

    /// Builds a kitchen; environments share the model.
    ///
    /// # Errors
    /// [`EnvError::BadSetting`], those of finding and opening MuJoCo, [`EnvError::MujocoModel`].
    pub fn new(config: KitchenConfig) -> Result<Self, EnvError> {
        config.check()?;
        let model = models::shared(MODEL, || {
            Model::from_xml_path(&Installation::locate()?.robotics_file(MODEL)?)
        })?;
        models::check_sizes(&model, MODEL, [NQ, NV, ROBOT])?;
        let tasks = config.task_set();
        Ok(Self {
            spec: EnvSpec::symmetric(&config.id(), OBS, ROBOT, 1.0).with_time_limit(MAX_STEPS),
            config,
            data: Data::new(model)?,
            observed: [0.0; ROBOT],
            noise: Stream::new(0, "kitchen"),
            tasks,
            to_do: tasks,
            completed: TaskSet::NONE,
        })
    }

    /// The options.
    pub fn config(&self) -> &KitchenConfig {
        &self.config
    }

    /// The simulation.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// The tasks that have been completed in this episode.
    pub fn completed(&self) -> impl Iterator<Item = KitchenTask> + use<> {
        self.completed.tasks()
    }

    /// Whether every task has been completed in this episode.
    fn is_complete(&self) -> bool {
        self.completed == self.tasks
    }

    /// Starts an episode in the given state: `qpos [30]`, `qvel [29]`. The noise goes on.
    ///
    /// # Errors
    /// [`EnvError::BadLength`], [`EnvError::MujocoFailed`].
    pub fn reset_to(
        &mut self,
        qpos: &[f64],
        qvel: &[f64],
        obs: &mut [f64],
    ) -> Result<(), EnvError> {
        self.spec.check_obs(obs)?;
        self.data.start_from(&self.spec, qpos, qvel)?;
        self.data.forward()?;
        self.to_do = self.tasks;
        self.completed = TaskSet::NONE;
        self.observe(obs);
        Ok(())
    }

    fn observe(&mut self, obs: &mut [f64]) {
        let state = (self.data.qpos(), self.data.qvel());
        let ratios = (
            self.config.robot_noise_ratio,
            self.config.object_noise_ratio,
        );
        robot::observe(state, ratios, &mut self.noise, obs);
        self.observed.copy_from_slice(&obs[..ROBOT]);
    }

    fn send(&mut self, action: &[f32]) {
        let dt = self.data.model().timestep() * f64::from(FRAME_SKIP);
        let joints = self.observed.iter().zip(action);
        for (index, (ctrl, (observed, action))) in
            self.data.ctrl_mut().iter_mut().zip(joints).enumerate()
        {
            *ctrl = robot::target(index, *observed, *action, dt);
        }
    }

    /// Counts the tasks that the positions complete, and returns the reward.
    fn count(&mut self) -> f64 {
        let now = self.to_do.completed_by(self.data.qpos());
        self.completed = self.completed.with(now);
        if self.config.remove_task_when_completed {
            self.to_do = self.to_do.without(now);
        }
        f64::from(now.len())
    }
}

impl Env for KitchenEnv {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, rng: &mut Stream, obs: &mut [f64]) -> Result<(), EnvError> {
        self.spec.check_obs(obs)?;
        // a fork does not depend on the position: the draw makes each episode's noise another
        let episode = rng.next_u64();
        self.noise = rng.fork(&format!("kitchen {episode}"));
        self.reset_to(&FIRST_QPOS, &[0.0; NV], obs)
    }

    fn step(&mut self, action: &[f32], obs: &mut [f64]) -> Result<Step, EnvError> {
        self.spec.check_action(action)?;
        self.spec.check_obs(obs)?;
        self.send(action);
        self.data.step(FRAME_SKIP, false)?;
        self.observe(obs);
        let reward = self.count();
        let done = self.config.terminate_on_tasks_completed && self.is_complete();
        Ok(Step::ending(reward, done))
    }

    fn save_state(&self) -> Vec<u8> {
        StateWriter::new()
            .f64s(&self.observed)
            .stream(&self.noise)
            .u8(self.to_do.bits())
            .u8(self.completed.bits())
            .f64s(&self.data.integration_state())
            .finish()
    }

    fn load_state(&mut self, state: &[u8]) -> Result<(), EnvError> {
        let mut reader = StateReader::new(&self.spec.id, state);
        let mut observed = [0.0; ROBOT];
        reader.f64s(&mut observed)?;
        let noise = reader.stream()?;
        let [to_do, completed] = [reader.u8()?, reader.u8()?];
        let sets = self.tasks.subset(to_do).zip(self.tasks.subset(completed));
        let (to_do, completed) =
            sets.ok_or_else(|| reader.bad("it has tasks that this kitchen does not".to_owned()))?;
        let mut integration = vec![0.0; self.data.integration_state_len()];
        reader.f64s(&mut integration)?;
        reader.finish()?;
        self.data.set_integration_state(&integration)?;
        (self.observed, self.noise) = (observed, noise);
        (self.to_do, self.completed) = (to_do, completed);
        Ok(())
    }

    fn is_success(&self) -> Option<bool> {
        Some(self.is_complete())
    }

    fn render(&self, width: usize, height: usize) -> Result<Image, EnvError> {
        self.data.render(width, height)
    }
}
