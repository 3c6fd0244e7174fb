//! The expert of the kitchen: joint positions that the arm goes through, task after task.

mod table;

use std::ops::Range;

use super::Expert;
use crate::EnvError;
use crate::mujoco::{KitchenConfig, KitchenTask};
use table::{ARM, ORDER, SAFE, Waypoint, way};

/// Joints of the robot: the arm's and two fingers.
const ROBOT: usize = 9;
/// Where an observation has the positions of the things.
const THINGS: Range<usize> = 18..39;
/// Length of an observation.
const OBS: usize = 59;
/// What an action of 1 adds to an observed position: 2 rad/s over 0.08 s.
const REACH: f64 = 0.16;
/// How far the arm is sent, in distances to the waypoint; with 1 its weight would hold it back.
const GAIN: f64 = 1.8;
/// The largest error of a joint at which the next waypoint's turn comes.
const NEAR: f64 = 0.05;
/// The same for [`SAFE`], which is passed by.
const NEAR_SAFE: f64 = 0.3;
/// A task counts as done this near to its goal, a little nearer than the environment asks for.
const DONE: f64 = 0.29;

/// Does the tasks of a kitchen one after another, each by its waypoints, and goes through a safe posture between them.
///
/// With the observed joint positions `q` and those of a waypoint `w` with speed `v`, the arm is sent along the straight line:
///
/// ```text
/// e = 1.8 (w - q) / 0.16
/// a = e min(1, v / max |e|)
/// ```
///
/// The next waypoint's turn comes when all joints are within 0.05 rad of this one's, or when its steps are over. A task that is not
/// done after its last waypoint is tried again.
#[derive(Debug)]
struct KitchenExpert {
    tasks: Vec<KitchenTask>,
    /// Those that have not been done in this episode.
    left: Vec<KitchenTask>,
    /// `None` before the first observation of an episode.
    progress: Option<Progress>,
}

/// How far the expert has come.
#[derive(Debug, Clone, Copy)]
struct Progress {
    /// What is being done, if something is left to do.
    task: Option<KitchenTask>,
    /// 0 on the way to the safe posture, then the number of the waypoint.
    stage: usize,
    /// Steps in this stage.
    steps: u32,
}

/// The expert of the kitchen with this id, if it is one.
pub(super) fn expert(id: &str) -> Option<Box<dyn Expert>> {
    KitchenExpert::from_id(id).map(|expert| Box::new(expert) as Box<dyn Expert>)
}

impl KitchenExpert {
    fn from_id(id: &str) -> Option<Self> {
        let tasks = KitchenConfig::from_id(id)?.tasks;
        Some(Self {
            left: tasks.clone(),
            tasks,
            progress: None,
        })
    }

    /// The first task in [`ORDER`] that is left to do. One that was done once stays done, as in the environment.
    fn next_task(&mut self, obs: &[f64]) -> Option<KitchenTask> {
        let qpos = [&obs[..ROBOT], &obs[THINGS]].concat();
        self.left.retain(|task| task.distance(&qpos) >= DONE);
        ORDER.into_iter().find(|task| self.left.contains(task))
    }
}

impl Progress {
    fn begin(task: Option<KitchenTask>, stage: usize) -> Self {
        Self {
            task,
            stage,
            steps: 0,
        }
    }

    /// Where the arm goes now, and how near it has to come.
    fn waypoint(&self) -> (&'static Waypoint, f64) {
        let waypoint = self.stage.checked_sub(1);
        let waypoint = waypoint.and_then(|index| way(self.task).get(index));
        waypoint.map_or((&SAFE, NEAR_SAFE), |waypoint| (waypoint, NEAR))
    }

    /// Goes on to the next waypoint where this one has had its turn; from the last one, back to the safe posture.
    fn go_on(self, arm: &[f64]) -> Self {
        let (waypoint, near) = self.waypoint();
        let is_there = !waypoint.stay && largest(&waypoint.errors(arm)) < near;
        if !is_there && self.steps < waypoint.steps {
            return self;
        }
        let next = self.stage + 1;
        Self::begin(
            self.task,
            if next > way(self.task).len() { 0 } else { next },
        )
    }
}

impl Waypoint {
    /// `w - q`.
    fn errors(&self, arm: &[f64]) -> [f64; ARM] {
        std::array::from_fn(|joint| self.joints[joint] - arm[joint])
    }

    /// Writes the action that leads to it.
    fn approach(&self, arm: &[f64], action: &mut [f32]) {
        let errors = self.errors(arm).map(|error| GAIN * error / REACH);
        let scale = (self.speed / largest(&errors)).min(1.0);
        let (joints, fingers) = action.split_at_mut(ARM);
        for (action, error) in joints.iter_mut().zip(errors) {
            *action = (scale * error) as f32;
        }
        fingers.fill(if self.open { 1.0 } else { -1.0 });
    }
}

fn largest(errors: &[f64]) -> f64 {
    errors.iter().fold(0.0, |most, error| most.max(error.abs()))
}

impl Expert for KitchenExpert {
    fn reset(&mut self) {
        self.left.clone_from(&self.tasks);
        self.progress = None;
    }

    fn act(&mut self, obs: &[f64], action: &mut [f32]) -> Result<(), EnvError> {
        check_len("observation", OBS, obs.len())?;
        check_len("action", ROBOT, action.len())?;
        let (task, arm) = (self.next_task(obs), &obs[..ARM]);
        let progress = match self.progress {
            None => Progress::begin(task, 1),
            Some(progress) if progress.task != task => Progress::begin(task, 0),
            Some(progress) => progress.go_on(arm),
        };
        progress.waypoint().0.approach(arm, action);
        self.progress = Some(Progress {
            steps: progress.steps + 1,
            ..progress
        });
        Ok(())
    }
}

fn check_len(what: &'static str, wanted: usize, found: usize) -> Result<(), EnvError> {
    if wanted == found {
        return Ok(());
    }
    Err(EnvError::BadLength {
        id: "FrankaKitchen-v1".to_owned(),
        what,
        wanted,
        found,
    })
}
