//! Damaged checkpoints, a full disk, numbers that are not finite: typed errors, nothing lost.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use advect_envs::EnvError;
use advect_rl::checkpoint::{self, AGENT_FILE, LOOP_FILE, MANIFEST_FILE, REPLAY_DIR};
use advect_rl::metrics::METRICS_FILE;
use advect_rl::{Outcome, RunConfig, RunDir, RunError, TrainError, Trainer};
use candle_core::Device;
use common::{ENV, Poison, SmallDisk, agent, config, copy_dir, factory, train, trainer};
use tempfile::TempDir;

fn finished(dir: &TempDir) -> Outcome {
    train(RunDir::create(dir.path(), config(ENV)).unwrap()).unwrap()
}

fn resume_error(run: &Path) -> RunError {
    match trainer(RunDir::open(run).unwrap()).err() {
        Some(TrainError::Run(error)) => error,
        other => panic!("expected a run error, found {other:?}"),
    }
}

fn flip(path: &Path, position: usize) {
    let mut bytes = fs::read(path).unwrap();
    bytes[position] ^= 0x10;
    fs::write(path, bytes).unwrap();
}

#[test]
fn any_flipped_bit_and_any_cut_is_found_and_the_intact_checkpoint_named() {
    let dir = TempDir::new().unwrap();
    let run = finished(&dir).run_dir;
    for name in [AGENT_FILE, LOOP_FILE, MANIFEST_FILE] {
        let path = checkpoint::dir(&run, 702).join(name);
        let whole = fs::read(&path).unwrap();
        let crc_digit = whole.iter().position(u8::is_ascii_digit).unwrap();
        for position in [crc_digit, whole.len() / 3, whole.len() / 2] {
            flip(&path, position);
            assert_damage(&run, &path, "--checkpoint 600");
            fs::write(&path, &whole).unwrap();
        }
        for len in [0, whole.len() / 2, whole.len() - 1] {
            fs::write(&path, &whole[..len]).unwrap();
            assert_damage(&run, &path, "--checkpoint 600");
        }
        fs::remove_file(&path).unwrap();
        assert_damage(&run, &path, "--checkpoint 600");
        fs::write(&path, &whole).unwrap();
    }
    checkpoint::verify(&run, 702).unwrap();
}

fn assert_damage(run: &Path, file: &Path, fix: &str) {
    let before = checkpoint::steps(run).unwrap();
    let error = resume_error(run);
    let RunError::Damaged { path, .. } = &error else {
        panic!("expected damage, found {error}")
    };
    assert_eq!(path, file);
    assert!(error.to_string().contains(fix), "{error}");
    assert_eq!(checkpoint::steps(run).unwrap(), before);
}

#[test]
fn a_damaged_replay_segment_is_found() {
    let dir = TempDir::new().unwrap();
    let run = finished(&dir).run_dir;
    let newest = checkpoint::verify(&run, 702)
        .unwrap()
        .replay
        .segments
        .pop()
        .unwrap();
    let path = run.join(REPLAY_DIR).join(newest.file);
    flip(&path, newest.checksum.len as usize - 1);
    // the bytes after those of step 600 belong to step 702 only
    assert_damage(&run, &path, "--checkpoint 600");
    flip(&path, 40);
    assert_damage(&run, &path, "start the run anew");
}

#[test]
fn a_run_goes_on_from_the_checkpoint_that_the_error_names() {
    let dir = TempDir::new().unwrap();
    let expected = finished(&dir);
    flip(
        &checkpoint::dir(&expected.run_dir, 702).join(AGENT_FILE),
        100,
    );
    let run = RunDir::open(&expected.run_dir).unwrap();
    let mut trainer =
        Trainer::from_checkpoint(run, Box::new(agent(ENV)), factory(ENV), Device::Cpu, 600)
            .unwrap();
    let outcome = trainer.run(&AtomicBool::new(false), &mut ()).unwrap();
    assert_eq!(outcome.parameter_hash, expected.parameter_hash);
}

#[test]
fn a_full_disk_loses_nothing() {
    let dir = TempDir::new().unwrap();
    let expected = finished(&dir);
    let written = bytes_written(&dir.path().join("measure"));
    let mut failures = 0;
    for i in 0..24 {
        let disk = SmallDisk::new(600 + i * written / 24);
        let out = dir.path().join(format!("small-{i}"));
        let run = RunDir::create_with(&out, config(ENV), Box::new(disk.clone())).unwrap();
        let path = run.path().to_owned();
        match train(run) {
            Ok(outcome) => assert_eq!(outcome.parameter_hash, expected.parameter_hash),
            Err(error) => {
                failures += 1;
                assert!(
                    matches!(error, TrainError::Run(RunError::DiskFull { .. })),
                    "{error}"
                );
                assert!(error.to_string().contains("free some space"), "{error}");
            }
        }
        checkpoint::steps(&path)
            .unwrap()
            .into_iter()
            .for_each(|step| drop(checkpoint::verify(&path, step).unwrap()));
        let resumed = train(RunDir::open(&path).unwrap()).unwrap();
        assert_eq!(resumed.parameter_hash, expected.parameter_hash, "disk {i}");
        let logs = [&path, &expected.run_dir].map(|run| fs::read(run.join(METRICS_FILE)).unwrap());
        assert!(logs[0] == logs[1], "disk {i}");
    }
    assert!(failures >= 20, "{failures} of 24 disks were too small");
}

fn bytes_written(out: &Path) -> u64 {
    let disk = SmallDisk::new(u64::MAX);
    train(RunDir::create_with(out, config(ENV), Box::new(disk.clone())).unwrap()).unwrap();
    u64::MAX - disk.left.load(Ordering::Relaxed)
}

#[test]
#[cfg(target_os = "linux")]
fn the_systems_own_full_device_is_told_apart() {
    let error =
        fs::write("/dev/full", b"x").map_err(|source| RunError::io("write", "/dev/full", source));
    assert!(matches!(error, Err(RunError::DiskFull { .. })), "{error:?}");
}

#[test]
fn leftovers_of_an_interrupted_save_are_ignored_and_removed() {
    let dir = TempDir::new().unwrap();
    let expected = finished(&dir);
    let leftover = expected.run_dir.join("checkpoints/.step-0000000702.tmp");
    fs::create_dir(&leftover).unwrap();
    fs::write(leftover.join(AGENT_FILE), b"half").unwrap();
    assert_eq!(
        train(RunDir::open(&expected.run_dir).unwrap())
            .unwrap()
            .parameter_hash,
        expected.parameter_hash
    );
    assert!(!leftover.exists());
}

fn poisoned(poison: Poison, at: u64) -> (TempDir, PathBuf, TrainError) {
    let dir = TempDir::new().unwrap();
    let mut agent = agent(ENV);
    agent.poison = Some((poison, at));
    let run = RunDir::create(dir.path(), config(ENV)).unwrap();
    let path = run.path().to_owned();
    let mut trainer = Trainer::new(run, Box::new(agent), factory(ENV), Device::Cpu).unwrap();
    let error = trainer.run(&AtomicBool::new(false), &mut ()).unwrap_err();
    (dir, path, error)
}

#[test]
fn a_metric_that_is_not_finite_stops_the_run_with_its_name_and_step() {
    let (_dir, run, error) = poisoned(Poison::Metric, 120);
    let TrainError::NonFinite {
        env_steps: 360,
        updates: 120,
        ..
    } = error
    else {
        panic!("{error}")
    };
    assert!(
        error
            .to_string()
            .contains("metric critic/loss became NaN at environment step 360"),
        "{error}"
    );
    checkpoint::verify(&run, 300).unwrap();
}

#[test]
fn a_parameter_that_is_not_finite_never_reaches_a_checkpoint() {
    // update 167 is the last before the log line and the checkpoint at 501
    let (_dir, run, error) = poisoned(Poison::Parameter, 167);
    let text = error.to_string();
    assert!(
        text.contains(
            "agent state `critic/target` became inf at environment step 501, update 167 (index 3)"
        ),
        "{text}"
    );
    assert_eq!(checkpoint::steps(&run).unwrap(), [300, 402]);
    checkpoint::verify(&run, 402).unwrap();
}

#[test]
fn a_failed_update_says_which() {
    // the infinite target parameter of update 101 makes the gradient of update 102 not finite
    let (_dir, _run, error) = poisoned(Poison::Parameter, 101);
    assert!(
        matches!(
            error,
            TrainError::Update {
                env_steps: 306,
                update: 102,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn an_action_that_is_not_finite_is_the_agents_error() {
    let (_dir, _run, error) = poisoned(Poison::Action, 10);
    assert!(
        error
            .to_string()
            .contains("an action of the agent became NaN"),
        "{error}"
    );
}

#[test]
fn an_environment_that_returns_nan_is_named() {
    let dir = TempDir::new().unwrap();
    let error =
        train(RunDir::create(dir.path(), config("Probe-NonFinite-v0")).unwrap()).unwrap_err();
    assert!(
        matches!(error, TrainError::Env(EnvError::NonFinite { .. })),
        "{error}"
    );
    assert!(error.to_string().contains("Probe-NonFinite-v0"), "{error}");
}

#[test]
fn a_checkpoint_of_another_run_is_refused() {
    let dir = TempDir::new().unwrap();
    let run = finished(&dir).run_dir;
    let other = RunConfig {
        seed: 8,
        ..config(ENV)
    };
    fs::write(run.join("config.toml"), other.to_toml().unwrap()).unwrap();
    assert!(matches!(resume_error(&run), RunError::OtherConfig { .. }));
    let mut open = RunDir::open(&run).unwrap();
    assert!(matches!(
        open.reconfigure(config(ENV)),
        Err(RunError::OtherConfig { .. })
    ));
}

#[test]
fn another_format_names_the_version_that_wrote_it() {
    let dir = TempDir::new().unwrap();
    let run = finished(&dir).run_dir;
    let path = checkpoint::dir(&run, 702).join(MANIFEST_FILE);
    let text = fs::read_to_string(&path)
        .unwrap()
        .replace("\"format\": 3", "\"format\": 9");
    fs::write(&path, text).unwrap();
    let error = resume_error(&run).to_string();
    assert!(
        error.contains("checkpoint format 9, this version reads format 3"),
        "{error}"
    );
    assert!(error.contains(env!("CARGO_PKG_VERSION")), "{error}");
}

#[test]
fn folders_are_created_once_and_written_by_one_process() {
    let dir = TempDir::new().unwrap();
    let run = RunDir::create(dir.path(), config(ENV)).unwrap();
    let path = run.path().to_owned();
    assert!(path.ends_with("tiny-Pendulum-v1-s7"));
    assert!(matches!(RunDir::open(&path), Err(RunError::InUse { .. })));
    assert!(matches!(
        RunDir::create(dir.path(), config(ENV)),
        Err(RunError::Exists { .. })
    ));
    drop(run);
    assert_eq!(RunDir::open(&path).unwrap().config(), &config(ENV));
    assert!(matches!(
        RunDir::open(dir.path()),
        Err(RunError::NoRun { .. })
    ));
}

#[test]
fn a_missing_step_lists_those_that_are_there() {
    let dir = TempDir::new().unwrap();
    let run = finished(&dir).run_dir;
    let error = checkpoint::load_agent(&run, Some(5))
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with("has no checkpoint at step 5; it has: 600, 702"),
        "{error}"
    );
}

#[test]
fn a_shortened_log_is_found() {
    let dir = TempDir::new().unwrap();
    let run = finished(&dir).run_dir;
    let copy = dir.path().join("copy");
    copy_dir(&run, &copy);
    fs::write(copy.join(METRICS_FILE), b"{}\n").unwrap();
    let error = resume_error(&copy);
    assert!(
        matches!(&error, RunError::Damaged { path, .. } if path.ends_with(METRICS_FILE)),
        "{error}"
    );
}
