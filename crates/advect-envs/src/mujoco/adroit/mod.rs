//! Gymnasium-Robotics' Adroit hand: a door, a hammer, a pen, a ball.

mod door;
mod hammer;
mod pen;
mod relocate;
mod task;

use std::sync::Arc;

use advect_rng::Stream;

use super::locate::Installation;
use super::models;
use super::sim::{Data, Field, Kind, Model, View};
use crate::state::{StateReader, StateWriter};
use crate::{Env, EnvError, EnvSpec, Image, Step};
use task::{Judgement, Places, Scene, TASKS, Task};

/// Physics steps per environment step.
const FRAME_SKIP: u32 = 5;
/// Steps of an episode.
const MAX_STEPS: u32 = 200;
/// Rewards of the sparse variants.
const ACHIEVED: f64 = 10.0;
const NOT_ACHIEVED: f64 = -0.1;
/// First actuator, last actuator and gain of those whose gains Gymnasium-Robotics sets: the wrist and the fingers.
const GAINS: [(&str, &str, f64); 2] = [("A_WRJ1", "A_WRJ0", 10.0), ("A_FFJ3", "A_THJ0", 1.0)];

const VIEW: View = View {
    look_at: [0.0, -0.1, 0.2],
    distance: 1.5,
    azimuth: 90.0,
    elevation: -35.0,
};

/// `AdroitHandDoor-v1`, `AdroitHandHammer-v1`, `AdroitHandPen-v1`, `AdroitHandRelocate-v1` or one of their `Sparse` variants, without the
/// time limit ([`crate::make`] adds it).
///
/// An action in `[-1, 1]` is a position between the bounds of each actuator; it is clipped. The dense rewards are those of
/// gymnasium-robotics 1.4.2, where the distance from the palm to the handle, hammer or ball is *rewarded* with weight 0.1; its later `v2` ids
/// mend that. A reset draws where the door, the board, the ball and its target are and how the pen should lie: these are numbers of the
/// model, so that each environment has a model of its own (7 MB).
pub struct AdroitEnv {
    task: &'static Task,
    sparse: bool,
    spec: EnvSpec,
    data: Data,
    places: Places,
    /// Numbers of the model that the last reset drew.
    drawn: Vec<f64>,
    /// What the task measured at the reset.
    lengths: [f64; 2],
    achieved: bool,
    /// Keeps the compiled model for other environments: the simulation has a copy from the first reset on.
    compiled: Arc<Model>,
}

impl std::fmt::Debug for AdroitEnv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AdroitEnv")
            .field("id", &self.spec.id)
            .field("drawn", &self.drawn)
            .field("data", &self.data)
            .finish_non_exhaustive()
    }
}

impl AdroitEnv {
    /// The ids that [`AdroitEnv::new`] knows.
    pub fn ids() -> impl Iterator<Item = &'static str> {
        TASKS.iter().flat_map(|task| task.ids)
    }

    /// Builds the task `id`.
    ///
    /// # Errors
    /// [`EnvError::UnknownId`], those of finding and opening MuJoCo, [`EnvError::MujocoModel`].
    pub fn new(id: &str) -> Result<Self, EnvError> {
        let Some(task) = TASKS.into_iter().find(|task| task.ids.contains(&id)) else {
            return Err(EnvError::not_one_of(id, Self::ids()));
        };
        let model = models::shared(task.model, || compile(task))?;
        let places = Places::find(task, &model)?;
        let spec = EnvSpec::symmetric(id, task.obs_dim, model.nu(), 1.0);
        Ok(Self {
            task,
            sparse: id == task.ids[1],
            spec: spec.with_time_limit(MAX_STEPS),
            data: Data::new(Arc::clone(&model))?,
            drawn: vec![0.0; places.drawn_len()],
            places,
            lengths: [1.0; 2],
            achieved: false,
            compiled: model,
        })
    }

    /// The simulation.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// The numbers of the model that the last reset drew: the position `[3]` of the door, the height `[1]` of the board, the quaternion `[4]`
    /// of the pen's target, or the first position `[2]` of the ball and that `[3]` of its target.
    pub fn drawn(&self) -> &[f64] {
        &self.drawn
    }

    /// Starts an episode in the given state: `qpos [nq]`, `qvel [nv]` and [`AdroitEnv::drawn`].
    ///
    /// # Errors
    /// [`EnvError::BadLength`], [`EnvError::MujocoFailed`].
    pub fn reset_to(
        &mut self,
        qpos: &[f64],
        qvel: &[f64],
        drawn: &[f64],
        obs: &mut [f64],
    ) -> Result<(), EnvError> {
        self.spec.check_obs(obs)?;
        let numbers = self.places.drawn_len();
        self.spec.check_len("drawn", numbers, drawn.len())?;
        self.places.write(&mut self.data, drawn)?;
        self.drawn.copy_from_slice(drawn);
        self.data.start_from(&self.spec, qpos, qvel)?;
        self.data.forward()?;
        self.lengths = (self.task.lengths)(&self.scene());
        self.observe(obs);
        Ok(())
    }

    fn scene(&self) -> Scene<'_> {
        Scene {
            data: &self.data,
            places: &self.places,
            lengths: self.lengths,
        }
    }

    /// Writes the observation and returns the reward.
    fn observe(&mut self, obs: &mut [f64]) -> f64 {
        let scene = self.scene();
        (self.task.observe)(&scene, obs);
        let Judgement { achieved, reward } = (self.task.judge)(&scene);
        self.achieved = achieved;
        match (self.sparse, achieved) {
            (false, _) => reward,
            (true, true) => ACHIEVED,
            (true, false) => NOT_ACHIEVED,
        }
    }

    fn send(&mut self, action: &[f32]) {
        let model = Arc::clone(self.data.model());
        let bounds = model.ctrl_range().chunks_exact(2);
        let ctrl = self.data.ctrl_mut().iter_mut();
        for ((ctrl, action), bounds) in ctrl.zip(action).zip(bounds) {
            let (mean, range) = ((bounds[0] + bounds[1]) / 2.0, 0.5 * (bounds[1] - bounds[0]));
            *ctrl = mean + f64::from(action.clamp(-1.0, 1.0)) * range;
        }
    }
}

impl Env for AdroitEnv {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, rng: &mut Stream, obs: &mut [f64]) -> Result<(), EnvError> {
        self.spec.check_obs(obs)?;
        let drawn = self.task.draw.draw(rng);
        let model = Arc::clone(&self.compiled);
        self.reset_to(model.qpos0(), &vec![0.0; model.nv()], &drawn, obs)
    }

    fn step(&mut self, action: &[f32], obs: &mut [f64]) -> Result<Step, EnvError> {
        self.spec.check_action(action)?;
        self.spec.check_obs(obs)?;
        self.send(action);
        self.data.step(FRAME_SKIP, false)?;
        Ok(Step::running(self.observe(obs)))
    }

    fn save_state(&self) -> Vec<u8> {
        StateWriter::new()
            .f64s(&self.drawn)
            .f64s(&self.lengths)
            .u8(u8::from(self.achieved))
            .f64s(&self.data.integration_state())
            .finish()
    }

    fn load_state(&mut self, state: &[u8]) -> Result<(), EnvError> {
        let mut reader = StateReader::new(&self.spec.id, state);
        let (mut drawn, mut lengths) = (vec![0.0; self.places.drawn_len()], [0.0; 2]);
        reader.f64s(&mut drawn)?;
        reader.f64s(&mut lengths)?;
        let achieved = reader.u8()?;
        let mut integration = vec![0.0; self.data.integration_state_len()];
        reader.f64s(&mut integration)?;
        if achieved > 1 {
            return Err(reader.bad(format!("the flag of success is {achieved}")));
        }
        reader.finish()?;
        self.places.write(&mut self.data, &drawn)?;
        self.data.set_integration_state(&integration)?;
        (self.drawn, self.lengths, self.achieved) = (drawn, lengths, achieved == 1);
        Ok(())
    }

    fn is_success(&self) -> Option<bool> {
        Some(self.achieved)
    }

    fn render(&self, width: usize, height: usize) -> Result<Image, EnvError> {
        self.data.render(width, height)
    }
}

/// The task's model with the gains that Gymnasium-Robotics sets.
fn compile(task: &Task) -> Result<Model, EnvError> {
    let mut model = Model::from_xml_path(&Installation::locate()?.robotics_file(task.model)?)?;
    models::check_sizes(&model, task.model, task.sizes)?;
    for (first, last, gain) in GAINS {
        let index = |name| model.index_of(Kind::Actuator, name);
        let actuators = index(first)?..index(last)? + 1;
        for actuator in actuators {
            set(&mut model, Field::ActuatorGain, actuator, [gain, 0.0, 0.0]);
            set(&mut model, Field::ActuatorBias, actuator, [0.0, -gain, 0.0]);
        }
    }
    Ok(model.seen_from(VIEW))
}

/// Sets the first numbers of an actuator.
fn set(model: &mut Model, field: Field, actuator: usize, numbers: [f64; 3]) {
    let (_, each) = field.of();
    model.field_mut(field)[each * actuator..][..3].copy_from_slice(&numbers);
}
