//! A one-step task with two good actions, of which a unimodal policy can represent one.

use advect_rng::Stream;

use super::colour;
use crate::pixels::Canvas;
use crate::state::StateReader;
use crate::{Env, EnvError, EnvSpec, Image, Step};

/// Centres and heights of the two bumps of the reward.
const BUMPS: [(f64, f64); 2] = [(0.6, 1.0), (-0.6, 0.9)];
const WIDTH: f64 = 0.15;

/// `TwoModeBandit-v0`: one state, one action in `[-1, 1]`, one step.
///
/// Reward `exp(-((a - 0.6) / 0.15)^2) + 0.9 exp(-((a + 0.6) / 0.15)^2)`; the observation is 0. The two modes are of almost equal
/// worth: a policy with an entropy bonus keeps both, a greedy or unimodal one keeps one. After the acceptance test of FMER.
#[derive(Debug, Clone)]
pub struct TwoModeBandit {
    spec: EnvSpec,
}

impl TwoModeBandit {
    /// The environment.
    pub fn new() -> Self {
        Self {
            spec: EnvSpec::symmetric("TwoModeBandit-v0", 1, 1, 1.0),
        }
    }

    /// The reward of `action`.
    pub fn reward(action: f64) -> f64 {
        let bump = |(centre, height): (f64, f64)| {
            let z = (action - centre) / WIDTH;
            height * (-z * z).exp()
        };
        BUMPS.into_iter().map(bump).sum()
    }
}

impl Default for TwoModeBandit {
    fn default() -> Self {
        Self::new()
    }
}

impl Env for TwoModeBandit {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, _: &mut Stream, obs: &mut [f64]) -> Result<(), EnvError> {
        self.spec.check_obs(obs)?;
        obs.fill(0.0);
        Ok(())
    }

    fn step(&mut self, action: &[f32], obs: &mut [f64]) -> Result<Step, EnvError> {
        self.spec.check_action(action)?;
        self.spec.check_obs(obs)?;
        obs.fill(0.0);
        let action = f64::from(action[0]).clamp(-1.0, 1.0);
        Ok(Step::ending(Self::reward(action), true))
    }

    fn save_state(&self) -> Vec<u8> {
        Vec::new()
    }

    fn load_state(&mut self, state: &[u8]) -> Result<(), EnvError> {
        StateReader::new(&self.spec.id, state).finish()
    }

    fn render(&self, width: usize, height: usize) -> Result<Image, EnvError> {
        let mut canvas = Canvas::new(width, height, [-1.0, -0.2], [1.0, 1.2])?;
        for i in -100..=100 {
            let action = f64::from(i) / 100.0;
            canvas.circle([action, Self::reward(action)], 0.02, colour::GROUND);
        }
        for (centre, height) in BUMPS {
            canvas.circle([centre, height], 0.05, colour::GOAL);
        }
        Ok(canvas.into_image())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expected_reward_of_a_squashed_normal_is_the_known_one() {
        // E[R(tanh z)], z ~ N(0, 1), by the trapezoidal rule: 0.25177
        let density = |z: f64| (-0.5 * z * z).exp() / (2.0 * std::f64::consts::PI).sqrt();
        let steps = 4000;
        let h = 16.0 / f64::from(steps);
        let mean: f64 = (0..=steps)
            .map(|i| -8.0 + h * f64::from(i))
            .map(|z| h * density(z) * TwoModeBandit::reward(z.tanh()))
            .sum();
        assert!((mean - 0.25177).abs() < 1e-5, "{mean}");
    }

    #[test]
    fn an_episode_is_one_step() {
        let mut env = TwoModeBandit::new();
        let mut obs = [1.0];
        env.reset(&mut Stream::new(0, "bandit"), &mut obs).unwrap();
        let step = env.step(&[0.6], &mut obs).unwrap();
        assert!(step.terminated && !step.truncated && obs == [0.0]);
        assert!((step.reward - 1.0).abs() < 1e-6, "{}", step.reward);
    }
}
