//! Training from the first step to the pictures, and what can be done with the run.

use crate::harness::{Training, advect, hash, succeed};
use serde_json::Value;
use std::path::Path;

fn end_to_end(algo: &'static str, env: &'static str) {
    let out = tempfile::tempdir().unwrap();
    let training = Training::new(algo, env, 300, out.path()).with(&[
        "--set",
        "eval_every=100",
        "--set",
        "log_every=50",
    ]);
    let stdout = succeed(training.command().output());
    let run = training.run_dir();
    let last = stdout.lines().last().unwrap();
    assert!(
        last.starts_with(&format!("{}: final evaluation return ", run.display())),
        "{last}"
    );
    check_files(&run, env);
    check_evaluation(&run, algo);
}

fn check_files(run: &Path, env: &str) {
    let read = |name: &str| std::fs::read_to_string(run.join(name)).unwrap();
    assert!(read("curve.svg").contains("environment steps"));
    assert_eq!(run.join("policy.svg").exists(), env == "MultiGoal-v0");
    let lines: Vec<Value> = read("metrics.jsonl")
        .lines()
        .map(|l| serde_json::from_str(l).unwrap())
        .collect();
    let evaluations = lines
        .iter()
        .filter(|line| line["eval/return_mean"].is_number())
        .count();
    assert_eq!(evaluations, 3);
    let losses = ["critic/loss", "value/loss", "policy/loss"];
    assert!(
        lines
            .iter()
            .any(|line| losses.iter().any(|loss| line[loss].is_number()))
    );
    let result: Value = serde_json::from_str(&read("result.json")).unwrap();
    assert_eq!(
        (result["env_steps"].as_u64(), result["stopped"].as_bool()),
        (Some(300), Some(false))
    );
    let events = std::fs::read_dir(run).unwrap().any(|f| {
        f.unwrap()
            .file_name()
            .to_string_lossy()
            .contains("tfevents")
    });
    assert!(events, "no TensorBoard events");
}

fn check_evaluation(run: &Path, algo: &str) {
    let eval = |seed: &str, more: &[&str]| -> Value {
        let args = [
            "eval",
            run.to_str().unwrap(),
            "--episodes",
            "4",
            "--json",
            "--seed",
            seed,
        ];
        serde_json::from_str(&succeed(advect(&args).args(more).output())).unwrap()
    };
    let (first, again, other) = (eval("3", &[]), eval("3", &[]), eval("4", &[]));
    let single = eval("3", &["--single-sample"]);
    assert_eq!(single["single_sample"], true);
    let chooses = crate::harness::tiny(algo)
        .iter()
        .any(|setting| setting.contains("best_of"));
    assert_eq!(first["returns"] != single["returns"], chooses, "{algo}");
    assert_eq!(first, again, "the same seed gives another evaluation");
    assert_ne!(first["returns"], other["returns"]);
    assert_eq!(first["algo"], algo);
    assert_eq!(first["returns"].as_array().unwrap().len(), 4);
    let [low, high] = [0, 1].map(|i| first["mean_interval"][i].as_f64().unwrap());
    let mean = first["mean"].as_f64().unwrap();
    assert!(low <= mean && mean <= high, "{low} {mean} {high}");
}

#[test]
fn every_algorithm_trains_on_the_multi_goal_task() {
    for algo in advect::algos::registry::names() {
        end_to_end(algo, "MultiGoal-v0");
    }
}

#[test]
fn flame_m_and_sac_train_on_the_pendulum() {
    end_to_end("flame-m", "Pendulum-v1");
    end_to_end("sac", "Pendulum-v1");
}

#[test]
fn the_configuration_of_a_run_repeats_it() {
    let (out, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let training = Training::new("flame-m", "MultiGoal-v0", 150, out.path());
    let first = hash(&training.finish());
    let config = training.run_dir().join("config.toml");
    let args = [
        "train",
        "--quiet",
        "--config",
        config.to_str().unwrap(),
        "--out",
        other.path().to_str().unwrap(),
    ];
    succeed(advect(&args).output());
    let again = crate::harness::result(&other.path().join("flame-m-MultiGoal-v0-s0"));
    assert_eq!(first, hash(&again));
}

#[test]
fn a_report_averages_over_seeds() {
    let out = tempfile::tempdir().unwrap();
    for seed in ["1", "2"] {
        succeed(
            Training::new("sac", "Pendulum-v1", 150, out.path())
                .with(&["--seed", seed])
                .command()
                .output(),
        );
    }
    let picture = out.path().join("all.svg");
    let runs = [1, 2].map(|seed| out.path().join(format!("sac-Pendulum-v1-s{seed}")));
    let stdout = succeed(
        advect(&["report"])
            .args(&runs)
            .arg("--out")
            .arg(&picture)
            .output(),
    );
    let row = stdout.lines().last().unwrap();
    assert!(
        row.contains("Pendulum-v1") && row.contains("+-"),
        "{stdout}"
    );
    assert!(
        std::fs::read_to_string(picture)
            .unwrap()
            .contains("sac, 2 seeds")
    );
}

#[test]
fn every_algorithm_prints_a_configuration_that_trains() {
    let out = tempfile::tempdir().unwrap();
    for algo in succeed(advect(&["algos"]).output()).lines() {
        let text = succeed(advect(&["config", algo, "--env", "Pendulum-v1"]).output());
        let lines: Vec<&str> = text.lines().collect();
        let is_key = |line: &str| line.contains(" = ") && !line.starts_with('#');
        let bare = lines
            .windows(2)
            .find(|pair| is_key(pair[1]) && !pair[0].starts_with("# "));
        assert!(bare.is_none(), "no meaning above: {bare:?}");
        let file = out.path().join(format!("{algo}.toml"));
        std::fs::write(&file, text).unwrap();
        let mut command = advect(&[
            "train",
            "--quiet",
            "--steps",
            "20",
            "--config",
            file.to_str().unwrap(),
        ]);
        command
            .arg("--out")
            .arg(out.path())
            .args(["--set", "eval_episodes=1"]);
        command.args(
            crate::harness::tiny(algo)
                .into_iter()
                .chain(crate::harness::data(algo, "Pendulum-v1", out.path()))
                .flat_map(|setting| ["--set".into(), setting]),
        );
        succeed(command.output());
    }
}

#[test]
fn a_broken_environment_is_told_from_a_right_one() {
    let checked = |id| {
        let mut command = advect(&["check-env", id, "--steps", "50"]);
        command.output().unwrap()
    };
    let right = succeed(Ok(checked("Pendulum-v1")));
    assert!(
        right.starts_with("Pendulum-v1\n  ok") && !right.contains("FAILED"),
        "{right}"
    );
    let broken = checked("Probe-NonFinite-v0");
    assert_eq!(broken.status.code(), Some(1));
    let stdout = String::from_utf8(broken.stdout).unwrap();
    assert!(
        stdout.contains("FAILED   observations and rewards"),
        "{stdout}"
    );
    let stderr = String::from_utf8(broken.stderr).unwrap();
    assert!(
        stderr.contains("Probe-NonFinite-v0 breaks a rule"),
        "{stderr}"
    );
}

#[test]
fn environments_and_algorithms_are_listed() {
    let envs = succeed(advect(&["envs"]).output());
    assert!(
        envs.lines().any(|id| id == "MultiGoal-v0")
            && envs.lines().any(|id| id == "HalfCheetah-v5"),
        "{envs}"
    );
    let algos = succeed(advect(&["algos"]).output());
    assert!(
        advect::algos::registry::names()
            .iter()
            .all(|algo| algos.lines().any(|line| line == *algo)),
        "{algos}"
    );
}
