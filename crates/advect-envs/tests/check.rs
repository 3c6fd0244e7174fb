//! The checker passes what is right, and names what each broken environment breaks.
#![allow(clippy::unwrap_used, reason = "a failed test")]

mod common;

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use advect_envs::check::{CheckSettings, Outcome, check};
use advect_envs::{Env, EnvError, EnvSpec, Step, TimeLimit};
use advect_rng::Stream;

fn settings() -> CheckSettings {
    CheckSettings {
        steps: 300,
        timing: Duration::from_millis(5),
        ..CheckSettings::default()
    }
}

/// What an environment does wrong.
#[derive(Clone, Copy, PartialEq)]
enum Fault {
    None,
    NarrowBounds,
    ShortObservation,
    NanReward,
    OwnRandomness,
    KeepsState,
    ForgetsState,
    Lengths,
    Limit,
}

/// A counter with a random offset.
struct Counter {
    spec: EnvSpec,
    fault: Fault,
    offset: f64,
    count: f64,
}

/// Changes between environments: randomness that no stream gives.
static CALLS: AtomicU32 = AtomicU32::new(0);

impl Counter {
    fn new(fault: Fault) -> Self {
        let mut spec = EnvSpec::symmetric("Counter-v0", 2, 1, 1.0).with_time_limit(20);
        if fault == Fault::NarrowBounds {
            spec.act_low = vec![1.0];
        }
        Self {
            spec,
            fault,
            offset: 0.0,
            count: 0.0,
        }
    }

    fn write(&self, obs: &mut [f64]) {
        obs[0] = self.count;
        if self.fault != Fault::ShortObservation {
            obs[1] = self.offset;
        }
    }
}

impl Env for Counter {
    fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    fn reset(&mut self, rng: &mut Stream, obs: &mut [f64]) -> Result<(), EnvError> {
        self.offset = match self.fault {
            Fault::OwnRandomness => f64::from(CALLS.fetch_add(1, Ordering::Relaxed)),
            _ => rng.uniform_f64(),
        };
        if self.fault != Fault::KeepsState {
            self.count = 0.0;
        }
        self.write(obs);
        Ok(())
    }

    fn step(&mut self, action: &[f32], obs: &mut [f64]) -> Result<Step, EnvError> {
        if self.fault != Fault::Lengths {
            self.spec.check_action(action)?;
            self.spec.check_obs(obs)?;
        }
        self.count += 1.0;
        self.write(obs);
        Ok(match self.fault {
            Fault::NanReward if self.count > 7.0 => Step::running(f64::NAN),
            _ => Step::running(self.count),
        })
    }

    fn save_state(&self) -> Vec<u8> {
        [self.offset, self.count]
            .iter()
            .flat_map(|value| value.to_le_bytes())
            .collect()
    }

    fn load_state(&mut self, state: &[u8]) -> Result<(), EnvError> {
        let number = |at: usize| f64::from_le_bytes(state[at..at + 8].try_into().unwrap());
        self.offset = number(0);
        if self.fault != Fault::ForgetsState {
            self.count = number(8);
        }
        Ok(())
    }
}

/// The rules that a fault breaks, with the message of the first.
fn broken(fault: Fault) -> Vec<(&'static str, String)> {
    let report = match fault {
        Fault::Limit | Fault::Lengths => check(|| Ok(Counter::new(fault)), settings()),
        _ => check(|| Ok(TimeLimit::new(Counter::new(fault))), settings()),
    };
    let checks = report.unwrap().checks.into_iter();
    checks
        .filter_map(|check| match check.outcome {
            Outcome::Failed(why) => Some((check.rule, why)),
            _ => None,
        })
        .collect()
}

#[test]
fn a_right_environment_passes_and_is_timed() {
    let report = check(|| Ok(TimeLimit::new(Counter::new(Fault::None))), settings()).unwrap();
    assert!(report.is_passed(), "{report}");
    assert!(report.steps_per_second > 0.0);
    let text = report.to_string();
    assert!(text.starts_with("Counter-v0\n  ok "), "{text}");
    assert!(text.ends_with("steps/s on one thread"), "{text}");
}

#[test]
fn every_fault_is_named_by_its_rule() {
    let expected = [
        (Fault::NarrowBounds, "the spec is consistent", "action 0"),
        (
            Fault::ShortObservation,
            "observations and rewards are written and finite",
            "observation[1]",
        ),
        (
            Fault::NanReward,
            "observations and rewards are written and finite",
            "reward is NaN",
        ),
        (
            Fault::OwnRandomness,
            "the same seed gives the same bits",
            "stream given to reset",
        ),
        (
            Fault::KeepsState,
            "a reset leaves nothing of the episode before",
            "reset has to set everything",
        ),
        (
            Fault::ForgetsState,
            "a saved state continues to the same bits",
            "save everything",
        ),
        (Fault::Lengths, "wrong lengths are refused", "check_action"),
        (
            Fault::Limit,
            "the time limit truncates, at the spec's step",
            "TimeLimit",
        ),
    ];
    for (fault, rule, part) in expected {
        let found = broken(fault);
        let why = found.iter().find(|(broken, _)| *broken == rule);
        let (_, why) = why.unwrap_or_else(|| panic!("`{rule}` is not broken: {found:?}"));
        assert!(why.contains(part), "{rule}: {why}");
    }
}

#[test]
fn every_environment_of_ours_passes() {
    let mut skipped = 0;
    for id in advect_envs::ids() {
        // broken on purpose; the other layouts and task sets differ in data only
        let left_out = [
            "Probe-NonFinite",
            "_Open",
            "_Medium",
            "_Large",
            "Dense",
            "FrankaKitchen-v1/",
        ];
        if left_out.iter().any(|part| id.contains(part)) {
            continue;
        }
        let settings = CheckSettings {
            steps: 60,
            ..settings()
        };
        let report = match check(|| advect_envs::make(id), settings) {
            Err(EnvError::MujocoUnavailable { .. }) if !common::mujoco_is_required() => {
                skipped += 1;
                continue;
            }
            report => report.unwrap(),
        };
        assert!(report.is_passed(), "{report}");
    }
    println!("skipped {skipped} ids without MuJoCo");
}
