//! FM-IRL's ant on its way to a flag.

mod config;
mod goal;
mod model;

use advect_rng::Stream;

pub use config::AntGoalConfig;

use super::gym::observation::write_all;
use super::gym::task::Part;
use super::sim::Data;
use crate::state::{StateReader, StateWriter};
use crate::{Env, EnvError, EnvSpec, Image, Step};
use goal::RADIUS;
use model::{FIRST_QPOS, FLAG, NQ, NV};

const ID: &str = "AntGoal-v0";
/// Physics steps per environment step.
const FRAME_SKIP: u32 = 5;
const MAX_STEPS: u32 = 50;
/// The goal is reached within this part of its distance from the origin.
const NEAR: f64 = 0.1;
/// Noise of the first velocities.
const VELOCITY_NOISE: f64 = 0.005;
/// Weights of the costs of action and contact.
const CTRL_COST: f64 = 0.5e-2;
const CONTACT_COST: f64 = 0.5e-3;
/// The observation before the contact forces, which are those of all bodies, the world included, and the way to the goal.
const STATE: [Part; 2] = [Part::QposFrom(2), Part::Qvel];
const STATE_LEN: usize = NQ - 2 + NV;
const FORCES_LEN: usize = 6 * model::NBODY;
const OBS: usize = STATE_LEN + FORCES_LEN + 2;

/// `AntGoal-v0`, the ant of goal_prox_il, DRAIL and FM-IRL, without its time limit of 50 steps ([`crate::make`] adds it).
///
/// A goal `g` lies on the half-circle of radius 5, at angle `U(0, pi)`. With `p` the place (x, y) of the torso, `d = |p - g| / 5`, the
/// action `a` as it was given, and the contact forces `f` clipped to +-1, the dense reward is
///
/// ```text
/// r = 1 - d - 0.005 |a|^2 - 0.0005 |f|^2
/// ```
///
/// The task is a success once `d < 0.1` after a step; the episode goes on and its success stays. The sparse reward is 1 where
/// `d < 0.1`. The observation `[132]` is the positions without the torso's x and y (20), the velocities (20), `f` (90) and `g - p` (2).
/// As in Gymnasium's ant, `p` and `f` are those of the last physics step, one behind the positions. A step is 5 physics steps of 0.02 s.
/// An episode begins at the origin with velocities `U(-0.005, 0.005)`.
///
/// Positions, velocities and forces are also those of a flag that stands at the goal: a free body of 0.6 kg that the ant cannot touch. It
/// begins 0.35 m deep in the floor, jumps out of it and comes to rest within ten steps.
///
/// Of twenty equal sectors of the half-circle, counted from 0, coverage 0.75 leaves out 2, 6, 10, 14 and 18, coverage 0.25 all others, and
/// coverage 0.5 the odd ones.
///
/// What is known and what is chosen: observation, reward, first state, model and sectors are those of goal_prox_il's environment, which
/// FM-IRL uses. Its experiments ran on MuJoCo 2.0 and 2.1; here it is 3.17.0, whose trajectories differ. The sparse reward and forces other
/// than 0 are additions.
pub struct AntGoal {
    config: AntGoalConfig,
    sectors: &'static [u64],
    spec: EnvSpec,
    data: Data,
    goal: [f64; 2],
    /// Whether the goal has been reached in this episode.
    reached: bool,
}

impl std::fmt::Debug for AntGoal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AntGoal")
            .field("config", &self.config)
            .field("goal", &self.goal)
            .field("reached", &self.reached)
            .field("data", &self.data)
            .finish_non_exhaustive()
    }
}

impl AntGoal {
    /// The id of the task.
    pub const ID: &str = ID;

    /// Builds the task; environments share the model.
    ///
    /// # Errors
    /// [`EnvError::BadSetting`], those of finding and opening MuJoCo, [`EnvError::MujocoModel`].
    pub fn new(config: AntGoalConfig) -> Result<Self, EnvError> {
        let sectors = config.sectors()?;
        let model = model::shared()?;
        Ok(Self {
            config,
            sectors,
            spec: EnvSpec::symmetric(ID, OBS, model::NU, 1.0).with_time_limit(MAX_STEPS),
            data: Data::new(model)?,
            goal: [RADIUS, 0.0],
            reached: false,
        })
    }

    /// The simulation.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// Where the ant has to go.
    pub fn goal(&self) -> [f64; 2] {
        self.goal
    }

    /// Starts an episode in the given state, `qpos [22]` and `qvel [20]`, with this goal.
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
        (self.goal, self.reached) = (goal, false);
        self.observe(obs);
        Ok(())
    }

    /// `g - p`.
    fn way(&self) -> [f64; 2] {
        // body 1 is the torso
        let torso = &self.data.xpos()[3..];
        [self.goal[0] - torso[0], self.goal[1] - torso[1]]
    }

    fn observe(&self, obs: &mut [f64]) {
        let (state, rest) = obs.split_at_mut(STATE_LEN);
        let (forces, way) = rest.split_at_mut(FORCES_LEN);
        write_all(&STATE, &self.data, state);
        for (out, force) in forces.iter_mut().zip(self.forces()) {
            *out = force;
        }
        way.copy_from_slice(&self.way());
    }

    /// `f`, body after body, rotation first.
    fn forces(&self) -> impl Iterator<Item = f64> {
        self.data.cfrc_ext().iter().map(|f| f.clamp(-1.0, 1.0))
    }

    /// `d`.
    fn distance(&self) -> f64 {
        let [x, y] = self.way();
        (x * x + y * y).sqrt() / RADIUS
    }

    fn reward(&self, action: &[f32]) -> f64 {
        if !self.config.dense {
            return f64::from(u8::from(self.distance() < NEAR));
        }
        let effort: f64 = action.iter().map(|a| f64::from(*a).powi(2)).sum();
        let contact: f64 = self.forces().map(|f| f * f).sum();
        1.0 - self.distance() - CTRL_COST * effort - CONTACT_COST * contact
    }
}

impl Env for AntGoal {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, rng: &mut Stream, obs: &mut [f64]) -> Result<(), EnvError> {
        let mut around = |bound: f64| bound * (2.0 * rng.uniform_f64() - 1.0);
        let qvel = [(); NV].map(|()| around(VELOCITY_NOISE));
        let mut qpos: [f64; NQ] = FIRST_QPOS.map(|q| q + around(self.config.noise));
        let goal = goal::draw(rng, self.sectors);
        qpos[FLAG..FLAG + 2].copy_from_slice(&goal);
        model::normalise(&mut qpos);
        self.reset_to(&qpos, &qvel, goal, obs)
    }

    fn step(&mut self, action: &[f32], obs: &mut [f64]) -> Result<Step, EnvError> {
        self.spec.check_action(action)?;
        self.spec.check_obs(obs)?;
        for (ctrl, action) in self.data.ctrl_mut().iter_mut().zip(action) {
            *ctrl = f64::from(*action);
        }
        self.data.step(FRAME_SKIP, self.config.contact_forces)?;
        self.reached |= self.distance() < NEAR;
        self.observe(obs);
        Ok(Step::running(self.reward(action)))
    }

    fn save_state(&self) -> Vec<u8> {
        StateWriter::new()
            .f64s(&self.goal)
            .u8(u8::from(self.reached))
            .f64s(&self.data.integration_state())
            .finish()
    }

    fn load_state(&mut self, state: &[u8]) -> Result<(), EnvError> {
        let mut reader = StateReader::new(&self.spec.id, state);
        let mut goal = [0.0; 2];
        reader.f64s(&mut goal)?;
        let reached = reader.u8()?;
        let mut integration = vec![0.0; self.data.integration_state_len()];
        reader.f64s(&mut integration)?;
        reader.finish()?;
        self.data.set_integration_state(&integration)?;
        (self.goal, self.reached) = (goal, reached != 0);
        Ok(())
    }

    fn is_success(&self) -> Option<bool> {
        Some(self.reached)
    }

    fn render(&self, width: usize, height: usize) -> Result<Image, EnvError> {
        self.data.render(width, height)
    }
}
