//! Gymnasium's MuJoCo environments: the skeleton that the rows of [`table`] share.

pub(super) mod observation;
mod reset;
pub(super) mod reward;
pub(super) mod table;
pub(super) mod task;

use advect_rng::Stream;

use super::locate::Installation;
use super::models;
use super::sim::{Data, Model};
use crate::state::{StateReader, StateWriter};
use crate::{Env, EnvError, EnvSpec, Image, Step};
use table::TASKS;
use task::Task;

/// A MuJoCo task of Gymnasium, without its time limit ([`crate::make`] adds it).
///
/// Observations are bit-identical with gymnasium 1.4.0 on the same MuJoCo library. First states are drawn
/// from the same distributions but other streams; [`GymEnv::reset_to`] starts from a given state. As in
/// Gymnasium, quantities that MuJoCo derives (`xpos`, `cinert`, ...) are read as the last physics step left
/// them, one step behind the positions.
pub struct GymEnv {
    task: &'static Task,
    spec: EnvSpec,
    data: Data,
    contact_forces: bool,
    /// What the next reward takes from before its physics: the rewarded x coordinate, or a distance.
    measure: f64,
}

impl std::fmt::Debug for GymEnv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GymEnv")
            .field("id", &self.task.id)
            .field("data", &self.data)
            .finish_non_exhaustive()
    }
}

impl GymEnv {
    /// The ids that [`GymEnv::new`] knows.
    pub fn ids() -> impl Iterator<Item = &'static str> {
        TASKS.iter().map(|task| task.id)
    }

    /// Builds the task `id`; environments of the same model share it.
    ///
    /// # Errors
    /// [`EnvError::UnknownId`], those of finding and opening MuJoCo, [`EnvError::MujocoModel`].
    pub fn new(id: &str) -> Result<Self, EnvError> {
        let Some(task) = TASKS.iter().find(|task| task.id == id) else {
            return Err(EnvError::not_one_of(id, Self::ids()));
        };
        let model = models::shared(task.model, || {
            Model::from_xml_path(&Installation::locate()?.models.join(task.model))
        })?;
        let spec = spec(task, &model);
        let data = Data::new(model)?;
        let contact_forces = task.obs.iter().any(|part| part.needs_contact_forces());
        Ok(Self {
            task,
            spec,
            data,
            contact_forces,
            measure: 0.0,
        })
    }

    /// The simulation.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// Starts an episode in the given state: `qpos [nq]`, `qvel [nv]`.
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
        self.start(obs)
    }

    /// Completes a reset whose positions and velocities are written.
    fn start(&mut self, obs: &mut [f64]) -> Result<(), EnvError> {
        self.data.forward()?;
        self.measure = self.task.measure(&self.data);
        self.observe(obs);
        Ok(())
    }

    fn observe(&self, obs: &mut [f64]) {
        observation::write_all(self.task.obs, &self.data, obs);
    }
}

impl Env for GymEnv {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, rng: &mut Stream, obs: &mut [f64]) -> Result<(), EnvError> {
        self.spec.check_obs(obs)?;
        self.data.reset()?;
        // mj_resetData has written the reference pose
        self.task.reset.draw(rng, &mut self.data);
        self.start(obs)
    }

    fn step(&mut self, action: &[f32], obs: &mut [f64]) -> Result<Step, EnvError> {
        self.spec.check_action(action)?;
        self.spec.check_obs(obs)?;
        for (ctrl, action) in self.data.ctrl_mut().iter_mut().zip(action) {
            *ctrl = f64::from(*action);
        }
        self.data.step(self.task.frame_skip, self.contact_forces)?;
        let before = std::mem::replace(&mut self.measure, self.task.measure(&self.data));
        self.observe(obs);
        let reward = self.task.reward(&self.data, action, before, self.measure);
        Ok(Step::ending(reward, !self.task.is_healthy(&self.data)))
    }

    /// The integration state and the measure, which is derived and would be one step behind after a load.
    fn save_state(&self) -> Vec<u8> {
        StateWriter::new()
            .f64s(&[self.measure])
            .f64s(&self.data.integration_state())
            .finish()
    }

    fn load_state(&mut self, state: &[u8]) -> Result<(), EnvError> {
        let mut reader = StateReader::new(&self.spec.id, state);
        let measure = reader.f64()?;
        let mut integration = vec![0.0; self.data.integration_state_len()];
        reader.f64s(&mut integration)?;
        reader.finish()?;
        self.data.set_integration_state(&integration)?;
        self.measure = measure;
        Ok(())
    }

    fn render(&self, width: usize, height: usize) -> Result<Image, EnvError> {
        self.data.render(width, height)
    }
}

fn spec(task: &Task, model: &Model) -> EnvSpec {
    let bounds = |side: usize| {
        let pairs = model.ctrl_range().chunks_exact(2);
        pairs.map(|pair| pair[side] as f32).collect()
    };
    EnvSpec {
        id: task.id.to_owned(),
        obs_dim: observation::len_of(task.obs, model),
        act_dim: model.nu(),
        act_low: bounds(0),
        act_high: bounds(1),
        max_episode_steps: Some(task.max_episode_steps),
        reward_threshold: task.reward_threshold,
        goal: None,
        image: None,
    }
}
