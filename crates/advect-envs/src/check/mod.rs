//! A checker for people who write environments: what a learner relies on, tried out.
//!
//! ```
//! use advect_envs::check::{CheckSettings, check};
//! let settings = CheckSettings { steps: 200, ..CheckSettings::default() };
//! let report = check(|| advect_envs::make("Pendulum-v1"), settings)?;
//! assert!(report.is_passed(), "{report}");
//! # Ok::<(), advect_envs::EnvError>(())
//! ```

mod rollout;
mod rules;

use std::fmt;
use std::time::{Duration, Instant};

use crate::{Env, EnvError};
use rollout::Rollout;
use rules::RULES;

/// How thoroughly to check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CheckSettings {
    /// Seed of actions and first states.
    pub seed: u64,
    /// Random actions that each rule takes.
    pub steps: u32,
    /// How long to measure the speed.
    pub timing: Duration,
}

impl Default for CheckSettings {
    fn default() -> Self {
        Self {
            seed: 0,
            steps: 1000,
            timing: Duration::from_millis(500),
        }
    }
}

/// What a rule found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The environment keeps it.
    Passed,
    /// It could not be tried.
    Skipped(String),
    /// The environment breaks it; says where and how to mend it.
    Failed(String),
}

/// One rule and what it found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Check {
    /// What an environment has to keep.
    pub rule: &'static str,
    /// Whether this one does.
    pub outcome: Outcome,
}

/// What [`check`] found; its `Display` is one line per rule.
#[derive(Debug, Clone, PartialEq)]
pub struct Report {
    /// Id of the environment.
    pub id: String,
    /// Every rule, in the order tried.
    pub checks: Vec<Check>,
    /// Random actions taken per second by one environment on one thread, resets included.
    pub steps_per_second: f64,
}

impl Report {
    /// Whether no rule is broken.
    pub fn is_passed(&self) -> bool {
        !self
            .checks
            .iter()
            .any(|check| matches!(check.outcome, Outcome::Failed(_)))
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.id)?;
        for Check { rule, outcome } in &self.checks {
            match outcome {
                Outcome::Passed => writeln!(f, "  ok       {rule}")?,
                Outcome::Skipped(why) => writeln!(f, "  skipped  {rule}: {why}")?,
                Outcome::Failed(why) => writeln!(f, "  FAILED   {rule}: {why}")?,
            }
        }
        write!(f, "  {:.0} steps/s on one thread", self.steps_per_second)
    }
}

/// Tries every rule on environments that `make` builds; each rule gets new ones.
///
/// # Errors
/// What `make` reports the first time. Later errors are failures of the rule that met them.
pub fn check<E: Env + 'static>(
    make: impl Fn() -> Result<E, EnvError>,
    settings: CheckSettings,
) -> Result<Report, EnvError> {
    let make = || make().map(|env| Box::new(env) as Box<dyn Env>);
    let id = make()?.spec().id.clone();
    let bench = Bench {
        make: &make,
        settings,
    };
    let found = |(rule, run): &(&'static str, rules::Rule)| Check {
        rule,
        outcome: run(&bench).unwrap_or_else(|error| Outcome::Failed(error.to_string())),
    };
    let checks = RULES.iter().map(found).collect();
    let steps_per_second = bench.speed().unwrap_or(0.0);
    Ok(Report {
        id,
        checks,
        steps_per_second,
    })
}

/// What a rule works with.
struct Bench<'a> {
    make: &'a dyn Fn() -> Result<Box<dyn Env>, EnvError>,
    settings: CheckSettings,
}

impl Bench<'_> {
    fn env(&self) -> Result<Box<dyn Env>, EnvError> {
        (self.make)()
    }

    /// A new environment at the start of its first episode.
    fn rollout(&self) -> Result<Rollout, EnvError> {
        Rollout::start(self.env()?, self.settings.seed)
    }

    fn speed(&self) -> Result<f64, EnvError> {
        let mut rollout = self.rollout()?;
        let (start, mut steps) = (Instant::now(), 0_u32);
        while start.elapsed() < self.settings.timing {
            rollout.step()?;
            steps += 1;
        }
        Ok(f64::from(steps) / start.elapsed().as_secs_f64())
    }
}
