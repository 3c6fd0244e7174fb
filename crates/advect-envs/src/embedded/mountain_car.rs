//! Mountain car with a continuous action, Gymnasium's equations.

use advect_rng::Stream;

use super::colour;
use crate::pixels::Canvas;
use crate::state::{StateReader, StateWriter};
use crate::{Env, EnvError, EnvSpec, Image, Step};

const POSITION: [f32; 2] = [-1.2, 0.6];
const MAX_SPEED: f32 = 0.07;
const POWER: f32 = 0.0015;
const GRAVITY: f64 = 0.0025;
const START: [f64; 2] = [-0.6, -0.4];
const GOAL_POSITION: f32 = 0.45;
const GOAL_REWARD: f64 = 100.0;
const ACTION_COST: f64 = 0.1;
const TIME_LIMIT: u32 = 999;
const SOLVED: f64 = 90.0;

/// `MountainCarContinuous-v0`: drive an underpowered car out of a valley.
///
/// With force `u = clip(a, +-1)`:
/// `v' = clip(v + 0.0015 u - 0.0025 cos(3 x), +-0.07)`, `x' = clip(x + v', -1.2, 0.6)`, and `v' = 0` at the left wall.
/// Reward `-0.1 a^2` (of the action as sent), plus 100 and termination at `x' >= 0.45` with `v' >= 0`.
/// Observation `(x, v)`; start `x ~ U(-0.6, -0.4)`, `v = 0`; horizon 999.
///
/// Gymnasium keeps position and velocity in f32 and so does this task: from the same f32 state the two agree to the bit.
/// (Gymnasium's own start is f64 until the first step; here it is rounded at once.) After Moore 1990.
#[derive(Debug, Clone)]
pub struct MountainCarContinuous {
    spec: EnvSpec,
    position: f32,
    velocity: f32,
}

impl MountainCarContinuous {
    /// The environment with its car at rest at -0.5, near the bottom of the valley.
    pub fn new() -> Self {
        let mut spec = EnvSpec::symmetric("MountainCarContinuous-v0", 2, 1, 1.0);
        spec.reward_threshold = Some(SOLVED);
        Self {
            spec: spec.with_time_limit(TIME_LIMIT),
            position: -0.5,
            velocity: 0.0,
        }
    }

    /// Sets position and velocity, rounded to f32, and writes the observation.
    ///
    /// # Errors
    /// [`EnvError::BadLength`].
    pub fn set_state(
        &mut self,
        position: f64,
        velocity: f64,
        obs: &mut [f64],
    ) -> Result<(), EnvError> {
        self.spec.check_obs(obs)?;
        (self.position, self.velocity) = (position as f32, velocity as f32);
        self.write_obs(obs);
        Ok(())
    }

    fn write_obs(&self, obs: &mut [f64]) {
        obs.copy_from_slice(&[self.position, self.velocity].map(f64::from));
    }

    /// Moves the car by one step under `force`.
    fn drive(&mut self, force: f32) {
        let slope = GRAVITY * f64::from(3.0 * self.position).cos();
        let velocity = self.velocity + (force * POWER - slope as f32);
        let velocity = velocity.clamp(-MAX_SPEED, MAX_SPEED);
        self.position = (self.position + velocity).clamp(POSITION[0], POSITION[1]);
        let blocked = self.position == POSITION[0] && velocity < 0.0;
        self.velocity = if blocked { 0.0 } else { velocity };
    }
}

/// The point of the drawn track at `x`: its height is `0.45 sin(3 x)`, whose slope is what pulls the car.
fn on_track(x: f64) -> [f64; 2] {
    [x, 0.45 * (3.0 * x).sin()]
}

impl Default for MountainCarContinuous {
    fn default() -> Self {
        Self::new()
    }
}

impl Env for MountainCarContinuous {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, rng: &mut Stream, obs: &mut [f64]) -> Result<(), EnvError> {
        let position = START[0] + (START[1] - START[0]) * rng.uniform_f64();
        self.set_state(position, 0.0, obs)
    }

    fn step(&mut self, action: &[f32], obs: &mut [f64]) -> Result<Step, EnvError> {
        self.spec.check_action(action)?;
        self.spec.check_obs(obs)?;
        self.drive(action[0].clamp(-1.0, 1.0));
        self.write_obs(obs);
        let reached = self.position >= GOAL_POSITION && self.velocity >= 0.0;
        let bonus = if reached { GOAL_REWARD } else { 0.0 };
        let effort = f64::from(action[0]).powi(2);
        Ok(Step::ending(bonus - effort * ACTION_COST, reached))
    }

    fn save_state(&self) -> Vec<u8> {
        StateWriter::new()
            .f32s(&[self.position, self.velocity])
            .finish()
    }

    fn load_state(&mut self, state: &[u8]) -> Result<(), EnvError> {
        let mut reader = StateReader::new(&self.spec.id, state);
        let mut loaded = [0.0; 2];
        reader.f32s(&mut loaded)?;
        reader.finish()?;
        [self.position, self.velocity] = loaded;
        Ok(())
    }

    fn render(&self, width: usize, height: usize) -> Result<Image, EnvError> {
        let mut canvas = Canvas::new(width, height, [-1.2, -0.9], [0.6, 0.9])?;
        let pieces = 32;
        let ends = [POSITION[0], POSITION[1]].map(f64::from);
        let at = |piece: i32| ends[0] + (ends[1] - ends[0]) * f64::from(piece) / f64::from(pieces);
        for piece in 0..pieces {
            let (from, to) = (on_track(at(piece)), on_track(at(piece + 1)));
            canvas.line(from, to, 0.03, colour::GROUND);
        }
        canvas.circle(on_track(f64::from(GOAL_POSITION)), 0.06, colour::GOAL);
        let [x, y] = on_track(f64::from(self.position));
        canvas.circle([x, y + 0.06], 0.08, colour::BODY);
        Ok(canvas.into_image())
    }
}
