//! Cart-pole swing-up with a continuous force.

use std::f64::consts::PI;

use advect_rng::Stream;

use super::colour;
use super::numeric::{rk4, uniform, wrap};
use crate::pixels::Canvas;
use crate::state::{StateReader, StateWriter};
use crate::{Env, EnvError, EnvSpec, Image, Step};

const GRAVITY: f64 = 9.8;
const CART_MASS: f64 = 1.0;
const POLE_MASS: f64 = 0.1;
const HALF_LENGTH: f64 = 0.5;
const MAX_FORCE: f64 = 10.0;
const TRACK: f64 = 2.4;
const DT: f64 = 0.02;
const SUBSTEPS: u32 = 5;
const START_NOISE: f64 = 0.05;
const TIME_LIMIT: u32 = 500;

/// `CartPoleSwingUp-v0`: swing a pole up by moving its cart, and balance it near the middle of the track.
///
/// The pole is a uniform rod of half length `l = 0.5 m` and mass `m = 0.1 kg` on a cart of 1 kg, without friction;
/// angle 0 is up. With force `F = 10 clip(a, +-1)` in newtons and the total mass `M`:
///
/// ```text
/// p  = (F + m l w^2 sin(theta)) / M
/// w' = (g sin(theta) - p cos(theta)) / (l (4/3 - m cos(theta)^2 / M))
/// v' = p - m l w' cos(theta) / M
/// ```
///
/// integrated over 0.02 s with five Runge-Kutta steps of 0.004 s under a constant force. Masses, length, force, track and period
/// are those of Gymnasium's `CartPole-v1`; the equations are Barto, Sutton and Anderson 1983 as corrected by Florian 2007.
///
/// Reward `(1 + cos(theta)) / 2 * cos(pi x / 4.8)` of the state after the step, in `[0, 1]`: 1 upright in the middle, 0 at the ends of
/// the track. It is the smooth product of an angle term and a position term that swing-up tasks commonly use.
/// The episode terminates, with reward 0, where the cart leaves the track `|x| <= 2.4 m`.
/// Observation `(x, v, cos(theta), sin(theta), w)`; start hanging at rest, each of the four numbers off by `U(-0.05, 0.05)`; horizon 500.
#[derive(Debug, Clone)]
pub struct CartPoleSwingUp {
    spec: EnvSpec,
    /// Position, velocity, angle from upright, angular velocity.
    state: [f64; 4],
}

impl CartPoleSwingUp {
    /// The environment with its pole hanging at rest in the middle of the track.
    pub fn new() -> Self {
        Self {
            spec: EnvSpec::symmetric("CartPoleSwingUp-v0", 5, 1, 1.0).with_time_limit(TIME_LIMIT),
            state: [0.0, 0.0, PI, 0.0],
        }
    }

    /// Sets position (m), velocity (m/s), angle from upright (rad) and angular velocity (rad/s), and writes the observation.
    ///
    /// # Errors
    /// [`EnvError::BadLength`].
    pub fn set_state(&mut self, state: [f64; 4], obs: &mut [f64]) -> Result<(), EnvError> {
        self.spec.check_obs(obs)?;
        self.state = state;
        self.write_obs(obs);
        Ok(())
    }

    /// Position, velocity, angle from upright in `[-pi, pi)` and angular velocity.
    pub fn state(&self) -> [f64; 4] {
        self.state
    }

    /// Kinetic plus potential energy in joules, constant without force up to the integrator's error:
    /// `M v^2 / 2 + m l v w cos(theta) + 2 m l^2 w^2 / 3 + m g l cos(theta)`.
    pub fn energy(&self) -> f64 {
        let [_, v, theta, w] = self.state;
        let moment = POLE_MASS * HALF_LENGTH;
        let cart = 0.5 * (CART_MASS + POLE_MASS) * v * v;
        let pole = moment * v * w * theta.cos() + 2.0 / 3.0 * moment * HALF_LENGTH * w * w;
        cart + pole + moment * GRAVITY * theta.cos()
    }

    fn write_obs(&self, obs: &mut [f64]) {
        let [x, v, theta, w] = self.state;
        obs.copy_from_slice(&[x, v, theta.cos(), theta.sin(), w]);
    }
}

impl Default for CartPoleSwingUp {
    fn default() -> Self {
        Self::new()
    }
}

/// The time derivative of the state under `force` in newtons.
fn derivative([_, v, theta, w]: [f64; 4], force: f64) -> [f64; 4] {
    let (sin, cos) = theta.sin_cos();
    let mass = CART_MASS + POLE_MASS;
    let moment = POLE_MASS * HALF_LENGTH;
    let push = (force + moment * w * w * sin) / mass;
    let lever = HALF_LENGTH * (4.0 / 3.0 - POLE_MASS * cos * cos / mass);
    let turning = (GRAVITY * sin - push * cos) / lever;
    [v, push - moment * turning * cos / mass, w, turning]
}

impl Env for CartPoleSwingUp {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, rng: &mut Stream, obs: &mut [f64]) -> Result<(), EnvError> {
        let noise = [(); 4].map(|()| uniform(rng, START_NOISE));
        self.set_state([noise[0], noise[1], wrap(PI + noise[2]), noise[3]], obs)
    }

    fn step(&mut self, action: &[f32], obs: &mut [f64]) -> Result<Step, EnvError> {
        self.spec.check_action(action)?;
        self.spec.check_obs(obs)?;
        let force = MAX_FORCE * f64::from(action[0].clamp(-1.0, 1.0));
        for _ in 0..SUBSTEPS {
            let dt = DT / f64::from(SUBSTEPS);
            self.state = rk4(self.state, dt, |state| derivative(state, force));
        }
        self.state[2] = wrap(self.state[2]);
        self.write_obs(obs);
        let [x, _, theta, _] = self.state;
        if x.abs() > TRACK {
            return Ok(Step::ending(0.0, true));
        }
        let centred = (0.5 * PI * x / TRACK).cos();
        Ok(Step::running(0.5 * (1.0 + theta.cos()) * centred))
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
        let mut canvas = Canvas::new(width, height, [-TRACK - 0.3, -1.5], [TRACK + 0.3, 1.5])?;
        let [x, _, theta, _] = self.state;
        let (sin, cos) = theta.sin_cos();
        let tip = [x + 2.0 * HALF_LENGTH * sin, 2.0 * HALF_LENGTH * cos];
        canvas.line([-TRACK, 0.0], [TRACK, 0.0], 0.06, colour::GROUND);
        canvas.rectangle([x - 0.3, -0.15], [x + 0.3, 0.15], colour::JOINT);
        canvas.line([x, 0.0], tip, 0.14, colour::BODY);
        Ok(canvas.into_image())
    }
}
