//! Several seeds at once.

use std::path::Path;
use std::process::Command;

use crate::harness::{Training, advect, fail, hash, result, succeed};

fn run(out: &Path, seed: u64) -> std::path::PathBuf {
    out.join(format!("sac-Pendulum-v1-s{seed}"))
}

fn training(steps: u64, out: &Path, more: &[&str]) -> Command {
    Training::new("sac", "Pendulum-v1", steps, out)
        .with(more)
        .command()
}

/// Parameters and log of a seed that trains by itself.
fn alone(steps: u64, seed: u64) -> (String, String) {
    let out = tempfile::tempdir().unwrap();
    succeed(training(steps, out.path(), &["--seed", &seed.to_string()]).output());
    told(&run(out.path(), seed))
}

fn told(run: &Path) -> (String, String) {
    let log = std::fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    (hash(&result(run)), log)
}

#[test]
fn each_seed_is_the_run_that_it_would_be_alone() {
    let out = tempfile::tempdir().unwrap();
    let seeds = ["--seeds", "0..2", "--threads", "2"];
    let stdout = succeed(training(300, out.path(), &seeds).output());
    for seed in 0..3 {
        let run = run(out.path(), seed);
        assert_eq!(told(&run), alone(300, seed), "seed {seed}");
        assert!(run.join("curve.svg").is_file());
        assert!(stdout.contains(&format!("-s{seed}: final evaluation return")));
    }
    let row = stdout.lines().last().unwrap();
    assert!(row.contains("sac") && row.contains("+-"), "{stdout}");
    let picture = out.path().join("sac-Pendulum-v1-seeds.svg");
    let picture = std::fs::read_to_string(picture).unwrap();
    assert!(picture.contains("sac, 3 seeds"));
}

#[cfg(unix)]
#[test]
fn interrupted_seeds_go_on_with_the_same_command() {
    let out = tempfile::tempdir().unwrap();
    let seeds = ["--seeds", "0..2", "--threads", "2"];
    let every = ["--set", "checkpoint_every=50"];
    let child = training(3000, out.path(), &[&seeds[..], &every].concat())
        .spawn()
        .unwrap();
    let checkpoints = run(out.path(), 0).join("checkpoints");
    while !std::fs::read_dir(&checkpoints).is_ok_and(|mut all| all.next().is_some()) {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let args = ["-TERM", &child.id().to_string()];
    assert!(Command::new("kill").args(args).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let stdout = String::from_utf8(output.stdout).unwrap();
    assert!(stdout.contains("--resume"), "{stdout}");
    assert_eq!(result(&run(out.path(), 0))["stopped"], true);
    let resume = [&seeds[..], &["--resume"]].concat();
    succeed(training(3000, out.path(), &resume).output());
    for seed in [0, 2] {
        assert_eq!(
            told(&run(out.path(), seed)),
            alone(3000, seed),
            "seed {seed}"
        );
    }
}

#[test]
fn a_seed_that_cannot_go_on_does_not_hold_up_the_others() {
    let out = tempfile::tempdir().unwrap();
    let seeds = ["--seeds", "3,5"];
    succeed(training(100, out.path(), &seeds).output());
    let agent = run(out.path(), 3).join("checkpoints/step-0000000100/agent.safetensors");
    assert!(agent.is_file());
    std::fs::write(&agent, "damaged").unwrap();
    let resume = [&seeds[..], &["--resume"]].concat();
    let message = fail(&mut training(200, out.path(), &resume));
    assert!(message.contains("1 of 2 seeds failed; seed 3"), "{message}");
    assert_eq!(told(&run(out.path(), 5)).0, alone(200, 5).0);
}

#[test]
fn seeds_that_contradict_themselves_begin_nothing() {
    let out = tempfile::tempdir().unwrap();
    let refused = |more: &[&str]| fail(&mut training(10, out.path(), more));
    let message = refused(&["--seeds", "1..2", "--set", "seed=7"]);
    assert!(message.contains("seed=7"), "{message}");
    let message = refused(&["--seeds", "1..2", "--resume", "runs/x"]);
    assert!(message.contains("leave RUN out"), "{message}");
    assert_eq!(std::fs::read_dir(out.path()).unwrap().count(), 0);
    succeed(training(10, out.path(), &["--seed", "2"]).output());
    let message = refused(&["--seeds", "1..2"]);
    assert!(message.contains("holds a run already"), "{message}");
    assert!(!run(out.path(), 1).exists());
    let usage = advect(&["train", "--seeds", "2..1"]).output().unwrap();
    assert_eq!(usage.status.code(), Some(2));
}
