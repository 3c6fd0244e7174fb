//! A run that is killed with SIGKILL at random instants and resumed each time ends with the bits of the run that was not.

#![allow(clippy::unwrap_used)] // helpers of tests

#[allow(dead_code)] // the other test program uses all of it
#[path = "command/harness.rs"]
mod harness;

use advect::rng::Stream;
use harness::{Training, hash, succeed};
use std::path::Path;
use std::process::Child;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Kills that must hit a running process.
const KILLS: usize = 20;
/// A kill comes after a uniform share of this part of the whole run's time: 20 of them use up about a third.
const LONGEST_LIFE: f64 = 1.0 / 30.0;

/// Both tests measure time, so that one waits for the other.
static ALONE: Mutex<()> = Mutex::new(());

fn training(algo: &'static str, env: &'static str, steps: u64, out: &Path) -> Training {
    let settings = ["checkpoint_every=20", "eval_every=200", "log_every=30"];
    let more: Vec<&str> = settings
        .iter()
        .flat_map(|s| ["--set", s])
        .chain(["--resume"])
        .collect();
    Training::new(algo, env, steps, out).with(&more)
}

/// Lets a process live for a while; whether it was killed. One that ended by itself must have succeeded.
fn live_for(mut child: Child, life: Duration) -> bool {
    std::thread::sleep(life);
    if child.try_wait().unwrap().is_some() {
        succeed(child.wait_with_output());
        return false;
    }
    child.kill().unwrap();
    child.wait_with_output().unwrap().status.code().is_none()
}

fn survives_kills(algo: &'static str, env: &'static str, steps: u64) {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let [whole, killed] = [(), ()].map(|()| tempfile::tempdir().unwrap());
    let start = Instant::now();
    let expected = training(algo, env, steps, whole.path()).finish();
    let longest = start.elapsed().mul_f64(LONGEST_LIFE);
    let training = training(algo, env, steps, killed.path());
    let mut instants = Stream::new(7, algo);
    let mut hits = 0;
    for _ in 0..KILLS {
        let life = longest.mul_f64(instants.uniform_f64());
        hits += usize::from(live_for(training.command().spawn().unwrap(), life));
    }
    assert_eq!(
        hits, KILLS,
        "the run was over before all kills: give it more steps"
    );
    let result = training.finish();
    assert_eq!(hash(&expected), hash(&result));
    assert_eq!(expected["evaluation"], result["evaluation"]);
    let log =
        |out: &Path| std::fs::read(out.join(format!("{algo}-{env}-s0/metrics.jsonl"))).unwrap();
    assert!(log(whole.path()) == log(killed.path()), "the logs differ");
}

#[test]
fn flame_m_survives_twenty_kills() {
    survives_kills("flame-m", "MultiGoal-v0", 3000);
}

#[test]
fn sac_survives_twenty_kills() {
    survives_kills("sac", "Pendulum-v1", 3000);
}
