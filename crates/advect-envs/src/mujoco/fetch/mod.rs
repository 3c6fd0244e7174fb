//! Gymnasium-Robotics' Fetch robot: an arm with a gripper that reaches, pushes, slides, and picks and places.

mod features;
mod places;
mod robot;
mod table;

use advect_rng::Stream;

use super::sim::Data;
use crate::options::Options;
use crate::state::{StateReader, StateWriter};
use crate::{Env, EnvError, EnvSpec, GoalLayout, Image, Step};
use robot::{Home, OBJECT, Parts};
use table::{HOLDOUT, ROWS, Row, Task, View};

/// The goal is reached within this distance.
const NEAR: f64 = 0.05;
/// Coordinates of a goal.
const GOAL: usize = 3;
/// Length of an action: three of the gripper's place, one of the fingers.
const ACTION: usize = 4;
/// Features of [`View::Short`], and where the object's place lies among them.
const SHORT: usize = 13;
const PLACE: usize = 3;
/// Steps of an episode.
const MAX_STEPS: u32 = 50;
/// Beyond this noise the object may lie beside the table.
const MAX_NOISE: f64 = 4.0;

/// The settings of `FetchPickAndPlaceDiffHoldout-v0`; the other tasks have none.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FetchConfig {
    /// Scale of the rectangles that objects and goals are drawn from, from 0 to 4; 1 by default, as in FM-IRL's main results.
    pub noise: f64,
}

impl Default for FetchConfig {
    fn default() -> Self {
        Self { noise: 1.0 }
    }
}

impl FetchConfig {
    /// The settings behind the id: the names of these fields.
    pub(crate) fn take(id: &str, options: &mut Options) -> Result<Self, EnvError> {
        let default = Self::default();
        if id != HOLDOUT {
            return Ok(default);
        }
        Ok(Self {
            noise: options.take("noise", default.noise)?,
        })
    }

    fn check(&self, id: &str) -> Result<(), EnvError> {
        if (0.0..=MAX_NOISE).contains(&self.noise) {
            return Ok(());
        }
        Err(EnvError::BadSetting {
            id: id.to_owned(),
            what: "noise",
            problem: format!("is {} and has to be between 0 and {MAX_NOISE}", self.noise),
        })
    }
}

/// `FetchReach-v4`, `FetchPush-v4`, `FetchSlide-v4`, `FetchPickAndPlace-v4`, their `Dense` variants, and
/// `FetchPickAndPlaceDiffHoldout-v0`, without the time limit of 50 steps ([`crate::make`] adds it).
///
/// An action in `[-1, 1]` moves a mocap body, which the gripper is welded to, by 5 cm at most, and the fingers; a step lasts 0.04 s.
/// With `d` the distance in metres between the goal and the object (in `FetchReach`, the gripper), the reward is
///
/// ```text
/// -1 if d > 0.05, else 0        (Dense: -d)
/// ```
///
/// The `-v4` tasks never terminate. Their observation is Gymnasium's entries `observation` (10 numbers, 25 with an object),
/// `achieved_goal` and `desired_goal` behind one another, bit-identical with gymnasium-robotics 1.4.2 on the same library.
///
/// `FetchPickAndPlaceDiffHoldout-v0` is the task of FM-IRL (arXiv 2510.09222), which is goal_prox_il's. It observes the first 13
/// features (gripper, object, way between them, fingers, the object's first two angles) and the goal, and terminates within 0.05 of
/// it. From the settled gripper and with `r` = [`FetchConfig::noise`], the object lies at x in ±0.05 r and y in 0.1 + [0, 0.04 r] on the
/// table, the goal at x in ±0.05 r and y in -0.1 + [-0.04 r, 0], always 0.15 above the table. Physics and model are those of `FetchPickAndPlace-v4`.
pub struct FetchEnv {
    row: &'static Row,
    config: FetchConfig,
    spec: EnvSpec,
    data: Data,
    parts: Parts,
    home: Home,
    /// What the last step derived and the next one or [`Env::is_success`] reads: a loaded simulation does not have it.
    hand_pose: [f64; 7],
    achieved: [f64; GOAL],
    goal: [f64; GOAL],
}

impl std::fmt::Debug for FetchEnv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("FetchEnv")
            .field("id", &self.row.id)
            .field("config", &self.config)
            .field("goal", &self.goal)
            .field("data", &self.data)
            .finish_non_exhaustive()
    }
}

impl FetchEnv {
    /// The ids that [`FetchEnv::new`] knows.
    pub fn ids() -> impl Iterator<Item = &'static str> {
        ROWS.iter().map(|row| row.id.as_str())
    }

    /// Builds the task `id` and lets the robot settle; environments of the same task share the model.
    ///
    /// # Errors
    /// [`EnvError::UnknownId`], [`EnvError::BadSetting`], those of finding and opening MuJoCo, [`EnvError::MujocoModel`].
    pub fn new(id: &str, config: FetchConfig) -> Result<Self, EnvError> {
        let Some(row) = ROWS.iter().find(|row| row.id == id) else {
            return Err(EnvError::not_one_of(id, Self::ids()));
        };
        config.check(id)?;
        let model = robot::model(&row.task)?;
        let parts = Parts::find(&row.task, &model)?;
        let mut data = Data::new(model)?;
        let home = Home::settle(&row.task, &parts, &mut data)?;
        Ok(Self {
            row,
            config,
            spec: spec(row),
            hand_pose: parts.hand_pose(&data),
            achieved: [0.0; GOAL],
            goal: [0.0; GOAL],
            data,
            parts,
            home,
        })
    }

    /// The simulation.
    pub fn data(&self) -> &Data {
        &self.data
    }

    /// Where the object, or without one the gripper, has to go.
    pub fn goal(&self) -> [f64; 3] {
        self.goal
    }

    /// Starts an episode in the given state, `qpos [nq]` and `qvel [nv]`, with this goal.
    ///
    /// # Errors
    /// [`EnvError::BadLength`], [`EnvError::MujocoFailed`].
    pub fn reset_to(
        &mut self,
        qpos: &[f64],
        qvel: &[f64],
        goal: [f64; 3],
        obs: &mut [f64],
    ) -> Result<(), EnvError> {
        self.spec.check_obs(obs)?;
        self.data.start_from(&self.spec, qpos, qvel)?;
        self.data.forward()?;
        self.goal = goal;
        self.observe(obs)
    }

    fn observe(&mut self, obs: &mut [f64]) -> Result<(), EnvError> {
        let mut features = vec![0.0; self.task().features()];
        self.achieved = features::write(&self.parts, &mut self.data, &mut features)?;
        self.hand_pose = self.parts.hand_pose(&self.data);
        let parts = match self.task().view {
            View::Whole => [&features[..], &self.achieved, &self.goal],
            View::Short => [&features[..SHORT], &[], &self.goal],
        };
        obs.copy_from_slice(&parts.concat());
        Ok(())
    }

    fn task(&self) -> &'static Task {
        &self.row.task
    }

    fn distance(&self) -> f64 {
        let pairs = self.achieved.iter().zip(&self.goal);
        pairs.map(|(a, b)| (a - b) * (a - b)).sum::<f64>().sqrt()
    }

    fn at_goal(&self) -> bool {
        self.distance() < NEAR
    }

    fn reward(&self) -> f64 {
        let distance = self.distance();
        match self.row.dense {
            true => -distance,
            false => -f64::from(u8::from(distance > NEAR)),
        }
    }
}

impl Env for FetchEnv {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, rng: &mut Stream, obs: &mut [f64]) -> Result<(), EnvError> {
        self.spec.check_obs(obs)?;
        let (places, noise) = (self.task().places, self.config.noise);
        let mut qpos = self.home.qpos.clone();
        if let Some(place) = places.object(rng, &self.home, noise) {
            qpos[OBJECT..OBJECT + 2].copy_from_slice(&place);
        }
        let goal = places.goal(rng, &self.home, noise);
        let qvel = self.home.qvel.clone();
        self.reset_to(&qpos, &qvel, goal, obs)
    }

    fn step(&mut self, action: &[f32], obs: &mut [f64]) -> Result<Step, EnvError> {
        self.spec.check_action(action)?;
        self.spec.check_obs(obs)?;
        robot::send(self.task(), action, self.hand_pose, &mut self.data);
        robot::advance(self.task(), &mut self.data)?;
        self.observe(obs)?;
        let done = self.task().ends_at_goal() && self.at_goal();
        Ok(Step::ending(self.reward(), done))
    }

    fn save_state(&self) -> Vec<u8> {
        StateWriter::new()
            .f64s(&self.goal)
            .f64s(&self.achieved)
            .f64s(&self.hand_pose)
            .f64s(&self.data.integration_state())
            .finish()
    }

    fn load_state(&mut self, state: &[u8]) -> Result<(), EnvError> {
        let mut reader = StateReader::new(&self.spec.id, state);
        let [mut goal, mut achieved] = [[0.0; GOAL]; 2];
        let mut hand_pose = [0.0; 7];
        reader.f64s(&mut goal)?;
        reader.f64s(&mut achieved)?;
        reader.f64s(&mut hand_pose)?;
        let mut integration = vec![0.0; self.data.integration_state_len()];
        reader.f64s(&mut integration)?;
        reader.finish()?;
        self.data.set_integration_state(&integration)?;
        (self.goal, self.achieved, self.hand_pose) = (goal, achieved, hand_pose);
        Ok(())
    }

    fn is_success(&self) -> Option<bool> {
        Some(self.at_goal())
    }

    fn render(&self, width: usize, height: usize) -> Result<Image, EnvError> {
        self.data.render(width, height)
    }
}

fn spec(row: &Row) -> EnvSpec {
    let (achieved, desired) = match row.task.view {
        View::Whole => (row.task.features(), row.task.features() + GOAL),
        View::Short => (PLACE, SHORT),
    };
    let spec = EnvSpec::symmetric(&row.id, desired + GOAL, ACTION, 1.0);
    EnvSpec {
        goal: Some(GoalLayout {
            achieved: achieved..achieved + GOAL,
            desired: desired..desired + GOAL,
        }),
        ..spec.with_time_limit(MAX_STEPS)
    }
}
