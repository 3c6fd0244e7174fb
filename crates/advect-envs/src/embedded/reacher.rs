//! A planar two-link arm that reaches for a point.

use std::f64::consts::PI;

use advect_rng::Stream;

use super::colour;
use super::numeric::{distance, rk4, uniform, wrap};
use crate::pixels::Canvas;
use crate::state::{StateReader, StateWriter};
use crate::{Env, EnvError, EnvSpec, GoalLayout, Image, Step};

/// Length of each link in metres.
const LENGTH: f64 = 0.5;
/// Mass of each link in kilograms.
const MASS: f64 = 0.5;
const MAX_TORQUE: f64 = 1.0;
const DAMPING: f64 = 0.1;
const DT: f64 = 0.05;
const SUBSTEPS: u32 = 5;
const GOAL_RADIUS: f64 = 0.9;
const ACTION_COST: f64 = 0.01;
const TIME_LIMIT: u32 = 100;

/// `m l^2 / 3`: the moment of inertia of a link about its end.
const INERTIA: f64 = MASS * LENGTH * LENGTH / 3.0;
/// `m l^2 / 2`: what couples the links.
const COUPLING: f64 = MASS * LENGTH * LENGTH / 2.0;

/// `Reacher2d-v0`: move the tip of a two-link arm to a goal, in a horizontal plane.
///
/// Both links are uniform rods of `l = 0.5 m` and `m = 0.5 kg` with damped, unlimited joints; `theta_2` is the angle from the first link.
/// With the torques `tau = clip(a, +-1)`, `I = m l^2 / 3`, `k = m l^2 / 2`, `c_2 = cos(theta_2)` and `s_2 = sin(theta_2)`:
///
/// ```text
/// M = [[2 I + m l^2 + 2 k c_2, I + k c_2], [I + k c_2, I]]
/// M w' = tau - 0.1 w + k s_2 [2 w_1 w_2 + w_2^2, -w_1^2]
/// ```
///
/// integrated over 0.05 s with five Runge-Kutta steps under a constant torque. These are the textbook equations of a planar arm; the task
/// is that of Gymnasium's Reacher, with an arm of human size.
///
/// Reward `-|tip - goal| - 0.01 |tau|^2` of the state after the step; it never terminates. Observation
/// `(cos(theta_1), sin(theta_1), c_2, s_2, w_1, w_2, tip x, tip y, goal x, goal y)`. Start: angles `U(-pi, pi)` at rest, goal uniform in
/// the disc of radius 0.9 m about the shoulder, all of which the arm can reach; horizon 100.
#[derive(Debug, Clone)]
pub struct Reacher2d {
    spec: EnvSpec,
    damping: f64,
    /// The two angles and their velocities.
    joints: [f64; 4],
    goal: [f64; 2],
}

impl Reacher2d {
    /// The environment with its arm stretched along x at rest, its goal at the tip.
    pub fn new() -> Self {
        let mut spec = EnvSpec::symmetric("Reacher2d-v0", 10, 2, 1.0).with_time_limit(TIME_LIMIT);
        spec.goal = Some(GoalLayout {
            achieved: 6..8,
            desired: 8..10,
        });
        Self {
            spec,
            damping: DAMPING,
            joints: [0.0; 4],
            goal: [2.0 * LENGTH, 0.0],
        }
    }

    /// The same arm with another damping of its joints, in N m s / rad.
    pub fn with_damping(mut self, damping: f64) -> Self {
        self.damping = damping;
        self
    }

    /// Sets the angles (rad), their velocities (rad/s) and the goal (m), and writes the observation.
    ///
    /// # Errors
    /// [`EnvError::BadLength`].
    pub fn set_state(
        &mut self,
        joints: [f64; 4],
        goal: [f64; 2],
        obs: &mut [f64],
    ) -> Result<(), EnvError> {
        self.spec.check_obs(obs)?;
        (self.joints, self.goal) = (joints, goal);
        self.write_obs(obs);
        Ok(())
    }

    /// Where the tip of the arm is, in metres.
    pub fn tip(&self) -> [f64; 2] {
        let [theta_1, theta_2, ..] = self.joints;
        let (s_1, c_1) = theta_1.sin_cos();
        let (s_12, c_12) = (theta_1 + theta_2).sin_cos();
        [LENGTH * (c_1 + c_12), LENGTH * (s_1 + s_12)]
    }

    /// Kinetic energy `w^T M w / 2` in joules, constant without torque and damping up to the integrator's error.
    pub fn energy(&self) -> f64 {
        let [_, theta_2, w_1, w_2] = self.joints;
        let [m_11, m_12, m_22] = mass_matrix(theta_2);
        0.5 * m_11 * w_1 * w_1 + m_12 * w_1 * w_2 + 0.5 * m_22 * w_2 * w_2
    }

    fn write_obs(&self, obs: &mut [f64]) {
        let [theta_1, theta_2, w_1, w_2] = self.joints;
        let (s_1, c_1) = theta_1.sin_cos();
        let (s_2, c_2) = theta_2.sin_cos();
        let [x, y] = self.tip();
        let [goal_x, goal_y] = self.goal;
        obs.copy_from_slice(&[c_1, s_1, c_2, s_2, w_1, w_2, x, y, goal_x, goal_y]);
    }

    /// Moves the arm by one step under constant torques.
    fn swing(&mut self, torque: [f64; 2]) {
        let dt = DT / f64::from(SUBSTEPS);
        for _ in 0..SUBSTEPS {
            self.joints = rk4(self.joints, dt, |joints| {
                derivative(joints, torque, self.damping)
            });
        }
        self.joints[0] = wrap(self.joints[0]);
        self.joints[1] = wrap(self.joints[1]);
    }
}

impl Default for Reacher2d {
    fn default() -> Self {
        Self::new()
    }
}

/// The distinct entries `[m_11, m_12, m_22]` of the mass matrix.
fn mass_matrix(theta_2: f64) -> [f64; 3] {
    let coupled = COUPLING * theta_2.cos();
    let both = 2.0 * INERTIA + MASS * LENGTH * LENGTH + 2.0 * coupled;
    [both, INERTIA + coupled, INERTIA]
}

/// The time derivative of the angles and their velocities.
fn derivative([_, theta_2, w_1, w_2]: [f64; 4], torque: [f64; 2], damping: f64) -> [f64; 4] {
    let [m_11, m_12, m_22] = mass_matrix(theta_2);
    let bend = COUPLING * theta_2.sin();
    let load_1 = torque[0] - damping * w_1 + bend * (2.0 * w_1 + w_2) * w_2;
    let load_2 = torque[1] - damping * w_2 - bend * w_1 * w_1;
    let det = m_11 * m_22 - m_12 * m_12;
    let turning_1 = (m_22 * load_1 - m_12 * load_2) / det;
    let turning_2 = (m_11 * load_2 - m_12 * load_1) / det;
    [w_1, w_2, turning_1, turning_2]
}

/// A point drawn uniformly from the disc of [`GOAL_RADIUS`] about the shoulder.
fn random_goal(rng: &mut Stream) -> [f64; 2] {
    let radius = GOAL_RADIUS * rng.uniform_f64().sqrt();
    let (sin, cos) = uniform(rng, PI).sin_cos();
    [radius * cos, radius * sin]
}

impl Env for Reacher2d {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, rng: &mut Stream, obs: &mut [f64]) -> Result<(), EnvError> {
        let joints = [uniform(rng, PI), uniform(rng, PI), 0.0, 0.0];
        let goal = random_goal(rng);
        self.set_state(joints, goal, obs)
    }

    fn step(&mut self, action: &[f32], obs: &mut [f64]) -> Result<Step, EnvError> {
        self.spec.check_action(action)?;
        self.spec.check_obs(obs)?;
        let torque = [action[0], action[1]].map(|a| MAX_TORQUE * f64::from(a).clamp(-1.0, 1.0));
        self.swing(torque);
        self.write_obs(obs);
        let effort = torque[0] * torque[0] + torque[1] * torque[1];
        let miss = distance(self.tip(), self.goal);
        Ok(Step::running(-miss - ACTION_COST * effort))
    }

    fn save_state(&self) -> Vec<u8> {
        StateWriter::new()
            .f64s(&self.joints)
            .f64s(&self.goal)
            .finish()
    }

    fn load_state(&mut self, state: &[u8]) -> Result<(), EnvError> {
        let mut reader = StateReader::new(&self.spec.id, state);
        let (mut joints, mut goal) = ([0.0; 4], [0.0; 2]);
        reader.f64s(&mut joints)?;
        reader.f64s(&mut goal)?;
        reader.finish()?;
        (self.joints, self.goal) = (joints, goal);
        Ok(())
    }

    fn render(&self, width: usize, height: usize) -> Result<Image, EnvError> {
        let mut canvas = Canvas::new(width, height, [-1.1; 2], [1.1; 2])?;
        let (sin, cos) = self.joints[0].sin_cos();
        let elbow = [LENGTH * cos, LENGTH * sin];
        canvas.line([0.0; 2], elbow, 0.12, colour::GROUND);
        canvas.line(elbow, self.tip(), 0.12, colour::BODY);
        canvas.circle([0.0; 2], 0.06, colour::JOINT);
        canvas.circle(elbow, 0.06, colour::JOINT);
        canvas.circle(self.goal, 0.08, colour::GOAL);
        Ok(canvas.into_image())
    }
}
