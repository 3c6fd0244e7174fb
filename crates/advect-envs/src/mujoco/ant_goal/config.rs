//! What of the task can be changed.

use super::goal::SECTORS;
use crate::EnvError;
use crate::options::Options;

/// What of an [`AntGoal`](super::AntGoal) can be changed; the default is the task that FM-IRL trains on.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AntGoalConfig {
    /// Noise `U(-noise, noise)` on each first position of ant and flag, the place of the flag on the floor excepted. FM-IRL's
    /// `ant_noise`, with 0, 0.01, 0.03, 0.05, 0.08 and 0.1. Default 0.
    pub noise: f64,
    /// The part of the half-circle that goals are drawn from: 0.25, 0.5, 0.75 or 1 (which sectors: see
    /// [`AntGoal`](super::AntGoal)). FM-IRL's demonstrations have 0.5, its learner 1. Default 1.
    pub coverage: f64,
    /// Whether the reward is dense, instead of 1 at the goal and 0 elsewhere. Default true.
    pub dense: bool,
    /// Whether contact forces are computed for observation and reward. On the MuJoCo 2 that FM-IRL runs on they are never computed
    /// and always 0. Default false.
    pub contact_forces: bool,
}

impl Default for AntGoalConfig {
    fn default() -> Self {
        Self {
            noise: 0.0,
            coverage: 1.0,
            dense: true,
            contact_forces: false,
        }
    }
}

impl AntGoalConfig {
    /// The settings behind an id: the names of these fields.
    pub(crate) fn take(options: &mut Options) -> Result<Self, EnvError> {
        let default = Self::default();
        Ok(Self {
            noise: options.take("noise", default.noise)?,
            coverage: options.take("coverage", default.coverage)?,
            dense: options.take("dense", default.dense)?,
            contact_forces: options.take("contact_forces", default.contact_forces)?,
        })
    }

    /// Checks that the noise is one and that the coverage is known, and returns the sectors of the coverage.
    pub(super) fn sectors(&self) -> Result<&'static [u64], EnvError> {
        let bad = |what: &'static str, value: f64, wanted: &str| EnvError::BadSetting {
            id: super::ID.to_owned(),
            what,
            problem: format!("is {value}; give {wanted}"),
        };
        if !(self.noise.is_finite() && self.noise >= 0.0) {
            return Err(bad("noise", self.noise, "0 or more"));
        }
        let known = SECTORS.iter().find(|(part, _)| *part == self.coverage);
        known
            .map(|(_, sectors)| *sectors)
            .ok_or_else(|| bad("coverage", self.coverage, "0.25, 0.5, 0.75 or 1"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_makes_no_sense_is_refused() {
        let with = |noise, coverage| AntGoalConfig {
            noise,
            coverage,
            ..AntGoalConfig::default()
        };
        for coverage in [0.25, 0.5, 0.75, 1.0] {
            let sectors = with(0.1, coverage).sectors().unwrap();
            assert_eq!(sectors.len() as f64, coverage * 20.0);
        }
        for (noise, coverage, named) in [
            (-0.1, 1.0, "noise"),
            (f64::NAN, 1.0, "noise"),
            (0.0, 0.3, "coverage"),
            (0.0, f64::NAN, "coverage"),
        ] {
            let error = with(noise, coverage).sectors().unwrap_err().to_string();
            assert!(error.starts_with(named), "{error}");
        }
    }
}
