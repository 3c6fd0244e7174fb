//! A run continues to the same bits, however it was interrupted.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use advect_rl::checkpoint::{self, REPLAY_DIR};
use advect_rl::metrics::{EVENTS_FILE, METRICS_FILE, read_metrics};
use advect_rl::{EvalReport, Metrics, Outcome, Progress, RunConfig, RunDir, Snapshot, Trainer};
use candle_core::Device;
use common::{ENV, StopAt, agent, config, copy_dir, factory, replay_settings, train, trainer};
use tempfile::TempDir;

fn straight(out: &Path) -> (Outcome, Vec<u8>) {
    straight_with(out, config(ENV))
}

fn straight_with(out: &Path, config: RunConfig) -> (Outcome, Vec<u8>) {
    let outcome = train(RunDir::create(out, config).unwrap()).unwrap();
    let metrics = fs::read(outcome.run_dir.join(METRICS_FILE)).unwrap();
    (outcome, metrics)
}

fn assert_same(outcome: &Outcome, expected: &(Outcome, Vec<u8>), context: &str) {
    assert_eq!(
        outcome.parameter_hash, expected.0.parameter_hash,
        "{context}"
    );
    assert_eq!(outcome.updates, expected.0.updates, "{context}");
    assert_eq!(outcome.eval, expected.0.eval, "{context}");
    let metrics = fs::read_to_string(outcome.run_dir.join(METRICS_FILE)).unwrap();
    assert_eq!(metrics, String::from_utf8_lossy(&expected.1), "{context}");
}

#[test]
fn a_run_learns_logs_and_evaluates() {
    let dir = TempDir::new().unwrap();
    let (outcome, _) = straight(dir.path());
    assert_eq!(
        (outcome.env_steps, outcome.updates, outcome.stopped),
        (702, 234, false)
    );
    assert_eq!(checkpoint::steps(&outcome.run_dir).unwrap(), [600, 702]);
    let lines = read_metrics(&outcome.run_dir.join(METRICS_FILE)).unwrap();
    let evaluated: Vec<u64> = steps_with(&lines, "eval/return_mean");
    assert_eq!(evaluated, [201, 402, 600, 702]);
    assert_eq!(steps_with(&lines, "critic/loss").len(), 14);
    // three environments finish their first episodes together, 200 vector steps after the start: 10 of them warm-up
    assert_eq!(steps_with(&lines, "train/return_mean"), [600]);
    assert!(outcome.eval.unwrap().mean < -100.0);
}

fn steps_with(lines: &[(u64, Metrics)], name: &str) -> Vec<u64> {
    lines
        .iter()
        .filter(|(_, metrics)| metrics.get(name).is_some())
        .map(|(step, _)| *step)
        .collect()
}

#[test]
fn stopped_and_resumed_runs_are_the_straight_run() {
    let dir = TempDir::new().unwrap();
    let expected = straight(&dir.path().join("straight"));
    for stops in [vec![1], vec![100, 101], vec![250, 598, 601], vec![699]] {
        let out = dir.path().join(format!("{stops:?}"));
        let mut run = RunDir::create(&out, config(ENV)).unwrap();
        let path = run.path().to_owned();
        for at in &stops {
            let flag = AtomicBool::new(false);
            let mut trainer = trainer(run).unwrap();
            let outcome = trainer
                .run(
                    &flag,
                    &mut StopAt {
                        at: *at,
                        flag: &flag,
                    },
                )
                .unwrap();
            assert!(outcome.stopped && (*at..*at + 6).contains(&outcome.env_steps));
            drop(trainer);
            run = RunDir::open(&path).unwrap();
        }
        assert_same(&train(run).unwrap(), &expected, &format!("{stops:?}"));
        let again = train(RunDir::open(&path).unwrap()).unwrap();
        assert_same(&again, &expected, "a finished run that is resumed");
        assert_ne!(fs::metadata(path.join(EVENTS_FILE)).unwrap().len(), 0);
    }
}

/// Updates before the environments' step: as many, of other transitions, and resumed to the same bits.
#[test]
fn updates_that_overlap_the_environments_resume_too() {
    let dir = TempDir::new().unwrap();
    let config = RunConfig {
        overlap: true,
        ..config(ENV)
    };
    let usual = straight(&dir.path().join("usual"));
    let expected = straight_with(&dir.path().join("straight"), config.clone());
    assert_eq!(expected.0.updates, usual.0.updates);
    assert_ne!(expected.0.parameter_hash, usual.0.parameter_hash);
    let run = RunDir::create(&dir.path().join("stopped"), config).unwrap();
    let path = run.path().to_owned();
    let flag = AtomicBool::new(false);
    let stop = &mut StopAt {
        at: 250,
        flag: &flag,
    };
    assert!(trainer(run).unwrap().run(&flag, stop).unwrap().stopped);
    assert_same(
        &train(RunDir::open(&path).unwrap()).unwrap(),
        &expected,
        "overlap",
    );
}

/// Copies the run directory at instants between checkpoints, as a killed process would leave it.
struct Crash {
    run: PathBuf,
    out: PathBuf,
    at: Vec<u64>,
    copies: Vec<PathBuf>,
}

impl Crash {
    fn copy(&mut self, name: &str) {
        let place = self.out.join(name);
        copy_dir(&self.run, &place);
        self.copies.push(place);
    }
}

impl Progress for Crash {
    fn on_warmup(&mut self, done: u64, _: u64) {
        if done == 15 {
            self.copy("warmup");
        }
    }

    fn on_step(&mut self, now: &Snapshot) {
        if self.at.contains(&now.env_steps) {
            self.copy(&format!("step-{}", now.env_steps));
        }
    }

    fn on_log(&mut self, env_steps: u64, _: &Metrics) {
        if env_steps == 402 {
            self.copy("between-log-and-evaluation");
        }
    }

    fn on_eval(&mut self, env_steps: u64, _: &EvalReport) {
        if env_steps == 600 {
            self.copy("between-evaluation-and-checkpoint");
        }
    }
}

#[test]
fn killed_runs_resume_to_the_straight_run() {
    let dir = TempDir::new().unwrap();
    let run = RunDir::create(&dir.path().join("run"), config(ENV)).unwrap();
    let mut crash = Crash {
        run: run.path().to_owned(),
        out: dir.path().join("copies"),
        at: vec![3, 99, 102, 150, 303, 420, 540, 678],
        copies: Vec::new(),
    };
    let outcome = trainer(run)
        .unwrap()
        .run(&AtomicBool::new(false), &mut crash)
        .unwrap();
    let metrics = fs::read(outcome.run_dir.join(METRICS_FILE)).unwrap();
    let expected = (outcome, metrics);
    assert_eq!(crash.copies.len(), 11);
    for copy in crash.copies {
        let resumed = train(RunDir::open(&copy).unwrap()).unwrap();
        assert_same(&resumed, &expected, &copy.display().to_string());
    }
}

#[test]
fn an_older_checkpoint_leads_to_the_same_end() {
    let dir = TempDir::new().unwrap();
    let expected = straight(dir.path());
    let run = RunDir::open(&expected.0.run_dir).unwrap();
    let mut trainer =
        Trainer::from_checkpoint(run, Box::new(agent(ENV)), factory(ENV), Device::Cpu, 600)
            .unwrap();
    assert_eq!(checkpoint::steps(&expected.0.run_dir).unwrap(), [600]);
    assert_same(
        &trainer.run(&AtomicBool::new(false), &mut ()).unwrap(),
        &expected,
        "from 600",
    );
}

#[test]
fn threads_checkpoints_and_evaluation_do_not_change_the_training() {
    let dir = TempDir::new().unwrap();
    let expected = straight(&dir.path().join("a"));
    let two_threads = RunConfig {
        threads: 2,
        ..config(ENV)
    };
    assert_same(
        &straight_with(&dir.path().join("b"), two_threads).0,
        &expected,
        "two threads",
    );
    let other = RunConfig {
        eval_every: 0,
        log_every: 7,
        checkpoint_every: 11,
        eval_episodes: 5,
        ..config(ENV)
    };
    let (other, _) = straight_with(&dir.path().join("c"), other);
    assert_eq!(other.parameter_hash, expected.0.parameter_hash);
}

#[test]
fn a_longer_run_continues_a_finished_one() {
    let dir = TempDir::new().unwrap();
    let long = RunConfig {
        steps: 900,
        ..config(ENV)
    };
    let (expected, _) = straight_with(&dir.path().join("long"), long.clone());
    let (first, _) = straight(&dir.path().join("short"));
    let mut run = RunDir::open(&first.run_dir).unwrap();
    run.reconfigure(long).unwrap();
    assert_eq!(train(run).unwrap().parameter_hash, expected.parameter_hash);
}

#[test]
fn a_warm_up_that_counts_is_part_of_the_steps() {
    let dir = TempDir::new().unwrap();
    let mut agent = agent(ENV);
    agent.settings = replay_settings(true);
    let run = RunDir::create(dir.path(), config(ENV)).unwrap();
    let mut trainer = Trainer::new(run, Box::new(agent), factory(ENV), Device::Cpu).unwrap();
    let outcome = trainer.run(&AtomicBool::new(false), &mut ()).unwrap();
    assert_eq!((outcome.env_steps, outcome.updates), (702, 224));
}

#[test]
fn segments_that_no_checkpoint_names_are_removed() {
    let dir = TempDir::new().unwrap();
    let (outcome, _) = straight(dir.path());
    let orphan = outcome
        .run_dir
        .join(REPLAY_DIR)
        .join("segment-000000009000.bin");
    fs::write(&orphan, b"of a checkpoint that was never published").unwrap();
    drop(trainer(RunDir::open(&outcome.run_dir).unwrap()).unwrap());
    assert!(!orphan.exists());
    checkpoint::verify(&outcome.run_dir, 600).unwrap();
    checkpoint::verify(&outcome.run_dir, 702).unwrap();
}
