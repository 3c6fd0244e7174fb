//! Gymnasium-Robotics' Shadow hand with a block to turn, and FM-IRL's variant of it.

mod config;
mod start;
mod table;
mod turn;

use std::sync::Arc;

use advect_rng::Stream;

pub use config::HandConfig;

use super::locate::Installation;
use super::models;
use super::rotation::{Quat, angle_between, norm};
use super::sim::{Data, Kind, Model, View};
use crate::state::{StateReader, StateWriter};
use crate::{Env, EnvError, EnvSpec, Image, Step};
use table::{Reward, TASKS, Task};

const MODEL: &str = "hand/manipulate_block.xml";
/// `nq`, `nv` and `nu` of the model: the hand's 24 joints, the block, and a second block that only shows the goal.
const SIZES: [usize; 3] = [38, 36, 20];
const JOINTS: usize = 24;
/// Numbers of a place with a rotation.
const POSE: usize = 7;
/// Where the block's pose and velocity lie in `qpos` and `qvel`, and the shown goal's pose in `qpos`.
const BLOCK: std::ops::Range<usize> = JOINTS..JOINTS + POSE;
const BLOCK_SPEED: std::ops::Range<usize> = JOINTS..JOINTS + 6;
const SHOWN: std::ops::Range<usize> = BLOCK.end..BLOCK.end + POSE;
/// Gymnasium's entry `observation`: joints, their velocities, the block's velocity, its pose.
const OWN: usize = 2 * JOINTS + 6 + POSE;
/// Physics steps per environment step.
const FRAME_SKIP: u32 = 20;
/// The goal is reached within this distance in metres and this angle in radians.
const NEAR: f64 = 0.01;
const ALIGNED: f64 = 0.1;
/// How far beside its place the goal is drawn where the place does not count.
const ASIDE: f64 = 0.15;

const VIEW: View = View {
    look_at: [1.0, 0.96, 0.14],
    distance: 0.5,
    azimuth: 55.0,
    elevation: -25.0,
};

/// `HandManipulateBlock*-v1` or FM-IRL's `CustomHandManipulateBlockRotateZ-v0`, without its time limit ([`crate::make`] adds it).
///
/// A pose is a place `[3]` and a quaternion `[4]`, the real part first. The observation of the first is Gymnasium's entries `observation`,
/// `achieved_goal` and `desired_goal` behind one another (75 numbers). That of FM-IRL's variant is `observation` and the goal with a
/// place of zero (68); the block has to turn from within 15 degrees of 0 to a goal 45 to 75 degrees ahead, which ends the episode. Its reward,
/// by how much a step comes nearer, is that of DRAIL, whose code FM-IRL's extends (arXiv 2510.09222); the model is Gymnasium-Robotics'.
/// An action in `[-1, 1]` is a position between the bounds of each actuator; it is clipped.
///
/// A reset lets the block settle on the palm for 200 physics steps. Unlike Gymnasium's, it also clears the solver's warm start, so that an
/// episode does not depend on the one before.
pub struct HandEnv {
    task: &'static Task,
    config: HandConfig,
    spec: EnvSpec,
    data: Data,
    /// Site in the middle of the block.
    centre: usize,
    goal: [f64; POSE],
    /// The distance after the last step of this episode, for [`Reward::Progress`].
    before: Option<f64>,
}

impl std::fmt::Debug for HandEnv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("HandEnv")
            .field("id", &self.task.id)
            .field("config", &self.config)
            .field("goal", &self.goal)
            .field("data", &self.data)
            .finish_non_exhaustive()
    }
}

impl HandEnv {
    /// The ids that [`HandEnv::new`] knows.
    pub fn ids() -> impl Iterator<Item = &'static str> {
        TASKS.iter().map(|task| task.id)
    }

    /// Builds the task `id`; environments share the model.
    ///
    /// # Errors
    /// [`EnvError::UnknownId`], [`EnvError::BadSetting`], those of finding and opening MuJoCo, [`EnvError::MujocoModel`].
    pub fn new(id: &str, config: HandConfig) -> Result<Self, EnvError> {
        let Some(task) = TASKS.iter().find(|task| task.id == id) else {
            return Err(EnvError::not_one_of(id, Self::ids()));
        };
        config.check(task)?;
        let model = models::shared(MODEL, || {
            let path = Installation::locate()?.robotics_file(MODEL)?;
            Ok(Model::from_xml_path(&path)?.seen_from(VIEW))
        })?;
        models::check_sizes(&model, MODEL, SIZES)?;
        Ok(Self {
            task,
            config,
            spec: task.spec(),
            centre: model.index_of(Kind::Site, "object:center")?,
            data: Data::new(model)?,
            goal: [0.0; POSE],
            before: None,
        })
    }

    /// The simulation.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// The pose to reach.
    pub fn goal(&self) -> [f64; 7] {
        self.goal
    }

    /// Starts an episode: puts the block there, lets it settle, and sets the goal.
    ///
    /// # Errors
    /// [`EnvError::BadLength`], [`EnvError::MujocoFailed`].
    pub fn reset_to(
        &mut self,
        block: [f64; 7],
        goal: [f64; 7],
        obs: &mut [f64],
    ) -> Result<(), EnvError> {
        self.spec.check_obs(obs)?;
        self.settle(block)?;
        self.start(goal, obs);
        Ok(())
    }

    /// Stands as an observation of FM-IRL's task says, in the middle of an episode.
    ///
    /// # Errors
    /// [`EnvError::BadLength`], [`EnvError::MujocoFailed`].
    pub(crate) fn stand_at(&mut self, obs: &[f64]) -> Result<(), EnvError> {
        self.spec.check_obs(obs)?;
        self.data.reset()?;
        let (joints, rest) = obs.split_at(JOINTS);
        let (speed, block) = rest.split_at(JOINTS + BLOCK_SPEED.len());
        let qpos = self.data.qpos_mut();
        qpos[..JOINTS].copy_from_slice(joints);
        qpos[BLOCK].copy_from_slice(&block[..POSE]);
        self.data.qvel_mut()[..speed.len()].copy_from_slice(speed);
        self.goal.copy_from_slice(&block[POSE..]);
        let (distance, angle) = self.off();
        self.before = Some(10.0 * distance + angle);
        Ok(())
    }

    fn start(&mut self, goal: [f64; POSE], obs: &mut [f64]) {
        self.goal = goal;
        self.before = None;
        self.observe(obs);
    }

    /// The block's pose.
    fn block(&self) -> [f64; POSE] {
        let mut block = [0.0; POSE];
        block.copy_from_slice(&self.data.qpos()[BLOCK]);
        block
    }

    fn observe(&self, obs: &mut [f64]) {
        let (qpos, qvel) = (self.data.qpos(), self.data.qvel());
        let block = &qpos[BLOCK];
        let goal = match self.task.episodic {
            true => [&[0.0; 3], &self.goal[3..]].concat(),
            false => [block, &self.goal].concat(),
        };
        let parts = [&qpos[..JOINTS], &qvel[..JOINTS], &qvel[BLOCK_SPEED], block];
        let numbers = parts.into_iter().flatten().chain(&goal);
        for (obs, number) in obs.iter_mut().zip(numbers) {
            *obs = *number;
        }
    }

    /// Distance to the goal's place, zero where that does not count, and angle to its rotation.
    fn off(&self) -> (f64, f64) {
        let block = self.block();
        let place = [0, 1, 2].map(|axis| block[axis] - self.goal[axis]);
        let distance = if self.task.placed { norm(&place) } else { 0.0 };
        (distance, angle_between(quat(&block), quat(&self.goal)))
    }

    fn at_goal(&self) -> bool {
        let (distance, angle) = self.off();
        distance < NEAR && angle < ALIGNED
    }

    fn reward(&mut self) -> f64 {
        let (distance, angle) = self.off();
        let off = 10.0 * distance + angle;
        let before = self.before.replace(off);
        match self.task.reward {
            Reward::Sparse => f64::from(u8::from(self.at_goal())) - 1.0,
            Reward::Dense => -off,
            Reward::Progress => before.map_or(0.0, |before| before - off),
        }
    }

    fn send(&mut self, action: &[f32]) {
        let model = Arc::clone(self.data.model());
        let bounds = model.ctrl_range().chunks_exact(2);
        let ctrl = self.data.ctrl_mut().iter_mut();
        for ((ctrl, action), bounds) in ctrl.zip(action).zip(bounds) {
            let (low, high) = (bounds[0], bounds[1]);
            let (centre, range) = ((high + low) / 2.0, (high - low) / 2.0);
            let target = centre + f64::from(action.clamp(-1.0, 1.0)) * range;
            *ctrl = target.max(low).min(high);
        }
    }
}

impl Env for HandEnv {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, rng: &mut Stream, obs: &mut [f64]) -> Result<(), EnvError> {
        self.spec.check_obs(obs)?;
        self.settle_somewhere(rng)?;
        let goal = self.draw_goal(rng);
        self.start(goal, obs);
        Ok(())
    }

    fn step(&mut self, action: &[f32], obs: &mut [f64]) -> Result<Step, EnvError> {
        self.spec.check_action(action)?;
        self.spec.check_obs(obs)?;
        self.send(action);
        self.data.step(FRAME_SKIP, false)?;
        self.observe(obs);
        let reward = self.reward();
        Ok(Step::ending(reward, self.task.episodic && self.at_goal()))
    }

    fn save_state(&self) -> Vec<u8> {
        StateWriter::new()
            .f64s(&self.goal)
            .u8(u8::from(self.before.is_some()))
            .f64s(&[self.before.unwrap_or(0.0)])
            .f64s(&self.data.integration_state())
            .finish()
    }

    fn load_state(&mut self, state: &[u8]) -> Result<(), EnvError> {
        let mut reader = StateReader::new(&self.spec.id, state);
        let mut goal = [0.0; POSE];
        reader.f64s(&mut goal)?;
        let stepped = reader.u8()?;
        let before = reader.f64()?;
        let mut integration = vec![0.0; self.data.integration_state_len()];
        reader.f64s(&mut integration)?;
        if stepped > 1 {
            return Err(reader.bad(format!("the flag of a first step is {stepped}")));
        }
        reader.finish()?;
        self.data.set_integration_state(&integration)?;
        self.goal = goal;
        self.before = (stepped == 1).then_some(before);
        Ok(())
    }

    fn is_success(&self) -> Option<bool> {
        Some(self.at_goal())
    }

    /// The goal is drawn as a second block, beside the first where its place does not count.
    fn render(&self, width: usize, height: usize) -> Result<Image, EnvError> {
        let mut qpos = self.data.qpos().to_vec();
        qpos[SHOWN].copy_from_slice(&self.goal);
        if !self.task.placed {
            qpos[SHOWN.start] += ASIDE;
        }
        self.data.render_posed(&qpos, width, height)
    }
}

/// The rotation of a pose.
fn quat(pose: &[f64; POSE]) -> Quat {
    [pose[3], pose[4], pose[5], pose[6]]
}
