//! Pendulum swing-up with Gymnasium's equations.

use std::f64::consts::PI;

use advect_rng::Stream;

use super::colour;
use super::numeric::wrap;
use crate::pixels::Canvas;
use crate::state::{StateReader, StateWriter};
use crate::{Env, EnvError, EnvSpec, Image, Step};

const GRAVITY: f64 = 10.0;
const MASS: f64 = 1.0;
const LENGTH: f64 = 1.0;
const DT: f64 = 0.05;
const MAX_SPEED: f64 = 8.0;
const MAX_TORQUE: f32 = 2.0;
const TIME_LIMIT: u32 = 200;

/// `Pendulum-v1`: swing a rod up and hold it there; angle 0 is up.
///
/// With torque `u` clipped to `[-2, 2]`, the reward is `-(wrap(theta)^2 + 0.1 w^2 + 0.001 u^2)` of the
/// state before the step, and the step is semi-implicit Euler:
/// `w' = clip(w + (3 g / (2 l) sin(theta) + 3 u / (m l^2)) dt, +-8)`, `theta' = theta + w' dt`.
/// Observation `(cos theta, sin theta, w)`; start `theta ~ U(-pi, pi)`, `w ~ U(-1, 1)`; horizon 200.
#[derive(Debug, Clone)]
pub struct Pendulum {
    spec: EnvSpec,
    theta: f64,
    theta_dot: f64,
}

impl Pendulum {
    /// The environment, upright and at rest.
    pub fn new() -> Self {
        Self {
            spec: EnvSpec::symmetric("Pendulum-v1", 3, 1, MAX_TORQUE).with_time_limit(TIME_LIMIT),
            theta: 0.0,
            theta_dot: 0.0,
        }
    }

    /// Sets the angle and its velocity and writes the observation `[3]`.
    pub fn set_state(&mut self, theta: f64, theta_dot: f64, obs: &mut [f64]) {
        self.theta = theta;
        self.theta_dot = theta_dot;
        obs.copy_from_slice(&[theta.cos(), theta.sin(), theta_dot]);
    }

    /// Kinetic plus potential energy, `m l^2 w^2 / 6 + m g l cos(theta) / 2`, constant without torque
    /// up to the integrator's error.
    pub fn energy(&self) -> f64 {
        let kinetic = MASS * LENGTH * LENGTH * self.theta_dot * self.theta_dot / 6.0;
        kinetic + MASS * GRAVITY * LENGTH * self.theta.cos() / 2.0
    }
}

impl Default for Pendulum {
    fn default() -> Self {
        Self::new()
    }
}

impl Env for Pendulum {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, rng: &mut Stream, obs: &mut [f64]) -> Result<(), EnvError> {
        self.spec.check_obs(obs)?;
        let theta = PI * (2.0 * rng.uniform_f64() - 1.0);
        let theta_dot = 2.0 * rng.uniform_f64() - 1.0;
        self.set_state(theta, theta_dot, obs);
        Ok(())
    }

    /// The torque's terms are f32, as NumPy computes them from an f32 action.
    fn step(&mut self, action: &[f32], obs: &mut [f64]) -> Result<Step, EnvError> {
        self.spec.check_action(action)?;
        self.spec.check_obs(obs)?;
        let (theta, theta_dot) = (self.theta, self.theta_dot);
        let torque = action[0].clamp(-MAX_TORQUE, MAX_TORQUE);
        let angle = wrap(theta);
        let cost =
            angle * angle + 0.1 * (theta_dot * theta_dot) + f64::from(0.001 * (torque * torque));
        let acceleration = 3.0 * GRAVITY / (2.0 * LENGTH) * theta.sin()
            + f64::from((3.0 / (MASS * LENGTH * LENGTH)) as f32 * torque);
        let next_speed = (theta_dot + acceleration * DT).clamp(-MAX_SPEED, MAX_SPEED);
        self.set_state(theta + next_speed * DT, next_speed, obs);
        Ok(Step::running(-cost))
    }

    fn save_state(&self) -> Vec<u8> {
        StateWriter::new()
            .f64s(&[self.theta, self.theta_dot])
            .finish()
    }

    fn load_state(&mut self, state: &[u8]) -> Result<(), EnvError> {
        let mut reader = StateReader::new(&self.spec.id, state);
        let (theta, theta_dot) = (reader.f64()?, reader.f64()?);
        reader.finish()?;
        (self.theta, self.theta_dot) = (theta, theta_dot);
        Ok(())
    }

    fn render(&self, width: usize, height: usize) -> Result<Image, EnvError> {
        let mut canvas = Canvas::new(width, height, [-1.25; 2], [1.25; 2])?;
        let (sin, cos) = self.theta.sin_cos();
        // angles grow against the clock
        let tip = [-LENGTH * sin, LENGTH * cos];
        canvas.line([0.0; 2], tip, 0.2, colour::BODY);
        canvas.circle([0.0; 2], 0.1, colour::JOINT);
        Ok(canvas.into_image())
    }
}
