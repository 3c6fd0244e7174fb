//! The multi-goal point mass: four equally good ways to act, which a unimodal policy cannot represent.

use advect_rng::Stream;

use super::colour;
use crate::pixels::Canvas;
use crate::state::{StateReader, StateWriter};
use crate::{Env, EnvError, EnvSpec, Image, Step};

/// The four goals `(+-5, 0), (0, +-5)`.
pub const GOALS: [[f64; 2]; 4] = [[5.0, 0.0], [-5.0, 0.0], [0.0, 5.0], [0.0, -5.0]];

const HALF_WIDTH: f64 = 7.0;
const START_STD: f64 = 0.1;
const ACTION_COST: f64 = 30.0;
const GOAL_RADIUS: f64 = 1.0;
const GOAL_REWARD: f64 = 10.0;
const TIME_LIMIT: u32 = 50;

/// `MultiGoal-v0`: a point in `[-7, 7]^2` whose velocity is the action, starting near the origin.
///
/// `s' = clip(s + a)`, reward `-30 |a|^2 - min_g |s' - g|^2`, plus 10 and termination within distance 1
/// of a goal; start `N(0, 0.1^2 I)`; horizon 50. Actions are clipped to `[-1, 1]^2`. After Haarnoja et
/// al. 2017 (soft Q-learning), with the constants of FLAME's experiment.
#[derive(Debug, Clone)]
pub struct MultiGoal {
    spec: EnvSpec,
    position: [f64; 2],
}

impl MultiGoal {
    /// The environment at the origin.
    pub fn new() -> Self {
        Self {
            spec: EnvSpec::symmetric("MultiGoal-v0", 2, 2, 1.0).with_time_limit(TIME_LIMIT),
            position: [0.0; 2],
        }
    }

    /// Puts the point at `position`.
    pub fn set_position(&mut self, position: [f64; 2]) {
        self.position = position.map(|s| s.clamp(-HALF_WIDTH, HALF_WIDTH));
    }

    /// Index in [`GOALS`] of the goal nearest to `position`, and its squared distance.
    pub fn nearest_goal(position: [f64; 2]) -> (usize, f64) {
        let squared = |goal: [f64; 2]| {
            let [dx, dy] = [position[0] - goal[0], position[1] - goal[1]];
            dx * dx + dy * dy
        };
        let mut nearest = (0, squared(GOALS[0]));
        for (index, goal) in GOALS.into_iter().enumerate().skip(1) {
            if squared(goal) < nearest.1 {
                nearest = (index, squared(goal));
            }
        }
        nearest
    }
}

impl Default for MultiGoal {
    fn default() -> Self {
        Self::new()
    }
}

impl Env for MultiGoal {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, rng: &mut Stream, obs: &mut [f64]) -> Result<(), EnvError> {
        self.spec.check_obs(obs)?;
        self.set_position([0.0; 2].map(|_: f64| START_STD * rng.normal_f64()));
        obs.copy_from_slice(&self.position);
        Ok(())
    }

    fn step(&mut self, action: &[f32], obs: &mut [f64]) -> Result<Step, EnvError> {
        self.spec.check_action(action)?;
        self.spec.check_obs(obs)?;
        let velocity = [action[0], action[1]].map(|a| f64::from(a).clamp(-1.0, 1.0));
        let [x, y] = self.position;
        self.set_position([x + velocity[0], y + velocity[1]]);
        obs.copy_from_slice(&self.position);
        let effort = velocity[0] * velocity[0] + velocity[1] * velocity[1];
        let (_, distance) = Self::nearest_goal(self.position);
        let reached = distance < GOAL_RADIUS * GOAL_RADIUS;
        let bonus = if reached { GOAL_REWARD } else { 0.0 };
        Ok(Step::ending(
            bonus - ACTION_COST * effort - distance,
            reached,
        ))
    }

    fn save_state(&self) -> Vec<u8> {
        StateWriter::new().f64s(&self.position).finish()
    }

    fn load_state(&mut self, state: &[u8]) -> Result<(), EnvError> {
        let mut reader = StateReader::new(&self.spec.id, state);
        let position = [reader.f64()?, reader.f64()?];
        reader.finish()?;
        self.position = position;
        Ok(())
    }

    fn render(&self, width: usize, height: usize) -> Result<Image, EnvError> {
        let mut canvas = Canvas::new(width, height, [-HALF_WIDTH; 2], [HALF_WIDTH; 2])?;
        for goal in GOALS {
            canvas.circle(goal, GOAL_RADIUS, colour::GOAL);
        }
        canvas.circle(self.position, 0.5, colour::BODY);
        Ok(canvas.into_image())
    }
}
