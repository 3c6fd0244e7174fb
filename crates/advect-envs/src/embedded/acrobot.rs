//! Acrobot with a continuous torque, Gymnasium's dynamics.

use std::f64::consts::PI;

use advect_rng::Stream;

use super::colour;
use super::numeric::{rk4, uniform, wrap};
use crate::pixels::Canvas;
use crate::state::{StateReader, StateWriter};
use crate::{Env, EnvError, EnvSpec, Image, Step};

const GRAVITY: f64 = 9.8;
const DT: f64 = 0.2;
const MAX_SPEED: [f64; 2] = [4.0 * PI, 9.0 * PI];
const START_NOISE: f64 = 0.1;
const GOAL_HEIGHT: f64 = 1.0;
const TIME_LIMIT: u32 = 500;
const SOLVED: f64 = -100.0;

/// `AcrobotContinuous-v0`: swing the end of a two-link chain above a line, with a torque at the elbow only.
///
/// Both links have length 1 m, mass 1 kg, their centre of mass in the middle and a moment of inertia of 1 kg m^2. `theta_1` is the
/// angle of the first link from hanging, `theta_2` that of the second link from the first. With the torque `u = clip(a, +-1)`,
/// `c_i = cos(theta_i)`, `s_i = sin(theta_i)` and `s_12 = sin(theta_1 + theta_2)`:
///
/// ```text
/// d_1 = 3.5 + c_2,  d_2 = 1.25 + 0.5 c_2
/// phi_2 = 0.5 g s_12
/// phi_1 = -0.5 w_2^2 s_2 - w_1 w_2 s_2 + 1.5 g s_1 + phi_2
/// w_2' = (u + d_2 phi_1 / d_1 - 0.5 w_1^2 s_2 - phi_2) / (1.25 - d_2^2 / d_1)
/// w_1' = -(d_2 w_2' + phi_1) / d_1
/// ```
///
/// One Runge-Kutta step of 0.2 s, then the speeds are clipped to `4 pi` and `9 pi`. These are the equations of Sutton and Barto's book and
/// of Gymnasium's `Acrobot-v1`, whose torque is -1, 0 or 1.
///
/// The reward is sparse as there: -1 a step, 0 and termination once `-cos(theta_1) - cos(theta_1 + theta_2) > 1`. So the return is minus
/// the number of steps needed, comparable with `Acrobot-v1`. Observation `(c_1, s_1, c_2, s_2, w_1, w_2)`;
/// start `U(-0.1, 0.1)` each; horizon 500.
#[derive(Debug, Clone)]
pub struct AcrobotContinuous {
    spec: EnvSpec,
    /// The two angles and their velocities.
    state: [f64; 4],
}

impl AcrobotContinuous {
    /// The environment, hanging at rest.
    pub fn new() -> Self {
        let mut spec = EnvSpec::symmetric("AcrobotContinuous-v0", 6, 1, 1.0);
        spec.reward_threshold = Some(SOLVED);
        Self {
            spec: spec.with_time_limit(TIME_LIMIT),
            state: [0.0; 4],
        }
    }

    /// Sets the angles (rad) and their velocities (rad/s), and writes the observation.
    ///
    /// # Errors
    /// [`EnvError::BadLength`].
    pub fn set_state(&mut self, state: [f64; 4], obs: &mut [f64]) -> Result<(), EnvError> {
        self.spec.check_obs(obs)?;
        self.state = state;
        self.write_obs(obs);
        Ok(())
    }

    /// The two angles in `[-pi, pi)` and their velocities.
    pub fn state(&self) -> [f64; 4] {
        self.state
    }

    /// Kinetic plus potential energy in joules, constant without torque up to the integrator's error:
    /// `d_1 w_1^2 / 2 + d_2 w_1 w_2 + 0.625 w_2^2 - 1.5 g c_1 - 0.5 g cos(theta_1 + theta_2)`.
    pub fn energy(&self) -> f64 {
        let [theta_1, theta_2, w_1, w_2] = self.state;
        let (d_1, d_2) = (3.5 + theta_2.cos(), 1.25 + 0.5 * theta_2.cos());
        let kinetic = 0.5 * d_1 * w_1 * w_1 + d_2 * w_1 * w_2 + 0.625 * w_2 * w_2;
        kinetic - GRAVITY * (1.5 * theta_1.cos() + 0.5 * (theta_1 + theta_2).cos())
    }

    fn write_obs(&self, obs: &mut [f64]) {
        let [theta_1, theta_2, w_1, w_2] = self.state;
        let (s_1, c_1) = theta_1.sin_cos();
        let (s_2, c_2) = theta_2.sin_cos();
        obs.copy_from_slice(&[c_1, s_1, c_2, s_2, w_1, w_2]);
    }
}

impl Default for AcrobotContinuous {
    fn default() -> Self {
        Self::new()
    }
}

/// The time derivative of the state under `torque`.
fn derivative([theta_1, theta_2, w_1, w_2]: [f64; 4], torque: f64) -> [f64; 4] {
    let (s_2, c_2) = theta_2.sin_cos();
    let (d_1, d_2) = (3.5 + c_2, 1.25 + 0.5 * c_2);
    let phi_2 = 0.5 * GRAVITY * (theta_1 + theta_2).sin();
    let coriolis = -0.5 * w_2 * w_2 * s_2 - w_2 * w_1 * s_2;
    let phi_1 = coriolis + 1.5 * GRAVITY * theta_1.sin() + phi_2;
    let driven = torque + d_2 / d_1 * phi_1 - 0.5 * w_1 * w_1 * s_2 - phi_2;
    let turning_2 = driven / (1.25 - d_2 * d_2 / d_1);
    let turning_1 = -(d_2 * turning_2 + phi_1) / d_1;
    [w_1, w_2, turning_1, turning_2]
}

impl Env for AcrobotContinuous {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, rng: &mut Stream, obs: &mut [f64]) -> Result<(), EnvError> {
        self.set_state([(); 4].map(|()| uniform(rng, START_NOISE)), obs)
    }

    fn step(&mut self, action: &[f32], obs: &mut [f64]) -> Result<Step, EnvError> {
        self.spec.check_action(action)?;
        self.spec.check_obs(obs)?;
        let torque = f64::from(action[0].clamp(-1.0, 1.0));
        let [theta_1, theta_2, w_1, w_2] = rk4(self.state, DT, |state| derivative(state, torque));
        let clipped = |w: f64, joint: usize| w.clamp(-MAX_SPEED[joint], MAX_SPEED[joint]);
        self.state = [
            wrap(theta_1),
            wrap(theta_2),
            clipped(w_1, 0),
            clipped(w_2, 1),
        ];
        self.write_obs(obs);
        let reached = -theta_1.cos() - (theta_1 + theta_2).cos() > GOAL_HEIGHT;
        Ok(Step::ending(if reached { 0.0 } else { -1.0 }, reached))
    }

    fn save_state(&self) -> Vec<u8> {
        StateWriter::new().f64s(&self.state).finish()
    }

    fn load_state(&mut self, state: &[u8]) -> Result<(), EnvError> {
        let mut reader = StateReader::new(&self.spec.id, state);
        let mut loaded = [0.0; 4];
        reader.f64s(&mut loaded)?;
        reader.finish()?;
        self.state = loaded;
        Ok(())
    }

    fn render(&self, width: usize, height: usize) -> Result<Image, EnvError> {
        let mut canvas = Canvas::new(width, height, [-2.2; 2], [2.2; 2])?;
        let [theta_1, theta_2, ..] = self.state;
        let (s_1, c_1) = theta_1.sin_cos();
        let (s_12, c_12) = (theta_1 + theta_2).sin_cos();
        let elbow = [s_1, -c_1];
        let tip = [s_1 + s_12, -c_1 - c_12];
        canvas.line([-2.2, GOAL_HEIGHT], [2.2, GOAL_HEIGHT], 0.06, colour::GOAL);
        canvas.line([0.0; 2], elbow, 0.24, colour::GROUND);
        canvas.line(elbow, tip, 0.24, colour::BODY);
        canvas.circle([0.0; 2], 0.12, colour::JOINT);
        canvas.circle(elbow, 0.12, colour::JOINT);
        Ok(canvas.into_image())
    }
}
