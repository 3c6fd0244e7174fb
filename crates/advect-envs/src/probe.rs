//! Probe environments: each isolates one fault of a learner, with a value known in closed form.
//!
//! All have one observation and one action in `[-1, 1]`. With discount `gamma`:
//!
//! | id | episode | what a right learner finds | fault that it isolates |
//! |---|---|---|---|
//! | `Probe-ConstantValue-v0` | one step, reward 1 | `Q = 1` | critic loss, its optimiser |
//! | `Probe-ObservationValue-v0` | one step, observation +-1, reward = observation | `Q(s) = s` | the observation reaching the critic |
//! | `Probe-Discounting-v0` | observation 0 then 1, reward 1 at the end | `Q(0) = gamma`, `Q(1) = 1` | bootstrapping and discount |
//! | `Probe-Policy-v0` | one step, reward `-(a - 0.5)^2` | action 0.5 | policy loss |
//! | `Probe-ObservationPolicy-v0` | one step, observation +-1, reward `-(a - s / 2)^2` | action `s / 2` | advantage per state |
//! | `Probe-Truncation-v0` | reward 1 for 8 steps, then truncated | `Q = 1 / (1 - gamma)` | truncation taken for termination |
//! | `Probe-NonFinite-v0` | observation NaN at the third step | an error | the guard against NaN |

use advect_rng::Stream;

use crate::state::{StateReader, StateWriter};
use crate::{Env, EnvError, EnvSpec, Step};

/// Which probe; see the [module](self) for what each does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Probe {
    /// `Probe-ConstantValue-v0`
    ConstantValue,
    /// `Probe-ObservationValue-v0`
    ObservationValue,
    /// `Probe-Discounting-v0`
    Discounting,
    /// `Probe-Policy-v0`
    Policy,
    /// `Probe-ObservationPolicy-v0`
    ObservationPolicy,
    /// `Probe-Truncation-v0`
    Truncation,
    /// `Probe-NonFinite-v0`
    NonFinite,
}

/// Steps of an episode of `Probe-Truncation-v0`.
pub const TRUNCATION_STEPS: u32 = 8;

/// The action that `Probe-Policy-v0` wants in each state, and `Probe-ObservationPolicy-v0` in state 1.
pub const BEST_ACTION: f64 = 0.5;

const NAN_STEP: u32 = 3;

impl Probe {
    /// Every probe.
    pub const ALL: [Self; 7] = [
        Self::ConstantValue,
        Self::ObservationValue,
        Self::Discounting,
        Self::Policy,
        Self::ObservationPolicy,
        Self::Truncation,
        Self::NonFinite,
    ];

    /// The id under which [`crate::make`] knows it.
    pub fn id(self) -> &'static str {
        match self {
            Self::ConstantValue => "Probe-ConstantValue-v0",
            Self::ObservationValue => "Probe-ObservationValue-v0",
            Self::Discounting => "Probe-Discounting-v0",
            Self::Policy => "Probe-Policy-v0",
            Self::ObservationPolicy => "Probe-ObservationPolicy-v0",
            Self::Truncation => "Probe-Truncation-v0",
            Self::NonFinite => "Probe-NonFinite-v0",
        }
    }

    fn has_random_observation(self) -> bool {
        matches!(self, Self::ObservationValue | Self::ObservationPolicy)
    }

    /// Steps after which the probe terminates; `None`: never.
    fn terminates_after(self) -> Option<u32> {
        match self {
            Self::Truncation | Self::NonFinite => None,
            Self::Discounting => Some(2),
            _ => Some(1),
        }
    }

    fn reward(self, obs: f64, action: f64, step: u32) -> f64 {
        match self {
            Self::ObservationValue => obs,
            Self::Discounting => f64::from(step - 1),
            Self::Policy => -(action - BEST_ACTION).powi(2),
            Self::ObservationPolicy => -(action - BEST_ACTION * obs).powi(2),
            Self::ConstantValue | Self::Truncation | Self::NonFinite => 1.0,
        }
    }

    fn next_obs(self, obs: f64, step: u32) -> f64 {
        match self {
            Self::Discounting => f64::from(step),
            Self::NonFinite if step == NAN_STEP => f64::NAN,
            _ => obs,
        }
    }
}

/// A [`Probe`] as an environment.
#[derive(Debug, Clone)]
pub struct ProbeEnv {
    probe: Probe,
    spec: EnvSpec,
    obs: f64,
    step: u32,
}

impl ProbeEnv {
    /// The environment of `probe`.
    pub fn new(probe: Probe) -> Self {
        let mut spec = EnvSpec::symmetric(probe.id(), 1, 1, 1.0);
        if probe == Probe::Truncation {
            spec = spec.with_time_limit(TRUNCATION_STEPS);
        }
        Self {
            probe,
            spec,
            obs: 0.0,
            step: 0,
        }
    }
}

impl Env for ProbeEnv {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, rng: &mut Stream, obs: &mut [f64]) -> Result<(), EnvError> {
        self.spec.check_obs(obs)?;
        self.step = 0;
        self.obs = match self.probe.has_random_observation() {
            true => 2.0 * rng.below(2) as f64 - 1.0,
            false => 0.0,
        };
        obs[0] = self.obs;
        Ok(())
    }

    fn step(&mut self, action: &[f32], obs: &mut [f64]) -> Result<Step, EnvError> {
        self.spec.check_action(action)?;
        self.spec.check_obs(obs)?;
        self.step += 1;
        let reward = self.probe.reward(self.obs, f64::from(action[0]), self.step);
        self.obs = self.probe.next_obs(self.obs, self.step);
        obs[0] = self.obs;
        let terminated = self.probe.terminates_after() == Some(self.step);
        Ok(Step::ending(reward, terminated))
    }

    fn save_state(&self) -> Vec<u8> {
        StateWriter::new().f64s(&[self.obs]).u32(self.step).finish()
    }

    fn load_state(&mut self, state: &[u8]) -> Result<(), EnvError> {
        let mut reader = StateReader::new(&self.spec.id, state);
        let (obs, step) = (reader.f64()?, reader.u32()?);
        reader.finish()?;
        (self.obs, self.step) = (obs, step);
        Ok(())
    }
}
