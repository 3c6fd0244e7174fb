//! Runs that go on: after an interrupt, after damage, for more steps.

use crate::harness::{Training, advect, fail, hash, result, succeed};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;

/// A run of 200 steps with checkpoints at 100 and 200.
fn two_checkpoints(out: &Path) -> Training {
    let training =
        Training::new("flame-m", "MultiGoal-v0", 200, out).with(&["--set", "checkpoint_every=100"]);
    training.finish();
    training
}

fn checkpoint_file(run: &Path, step: u64, name: &str) -> PathBuf {
    run.join(format!("checkpoints/step-{step:010}")).join(name)
}

fn resume(run: &Path, more: &[&str]) -> std::process::Command {
    let mut command = advect(&["train", "--quiet", "--resume"]);
    command.arg(run).args(more);
    command
}

/// Every file under a folder with its content.
fn contents(dir: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut found = BTreeMap::new();
    for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
        match entry.path() {
            path if path.is_dir() => found.extend(contents(&path)),
            path => drop(found.insert(path.clone(), std::fs::read(path).unwrap())),
        }
    }
    found
}

/// Damages a file of the newest checkpoint; the run refuses to go on, loses nothing, and goes on from the older one.
fn damage(name: &str, damage: impl Fn(&mut Vec<u8>)) {
    let [whole, hurt] = [(), ()].map(|()| tempfile::tempdir().unwrap());
    let longer = ["--steps", "300"];
    let run = two_checkpoints(whole.path()).run_dir();
    succeed(resume(&run, &longer).output());
    let expected = hash(&result(&run));

    let run = two_checkpoints(hurt.path()).run_dir();
    let file = checkpoint_file(&run, 200, name);
    let mut bytes = std::fs::read(&file).unwrap();
    damage(&mut bytes);
    std::fs::write(&file, bytes).unwrap();
    let before = contents(&run);
    let message = fail(&mut resume(&run, &longer));
    for part in ["damaged", file.to_str().unwrap(), "--checkpoint 100"] {
        assert!(message.contains(part), "no `{part}` in: {message}");
    }
    assert!(before == contents(&run), "a refused resume changed the run");
    succeed(resume(&run, &longer).args(["--checkpoint", "100"]).output());
    assert_eq!(expected, hash(&result(&run)));
}

#[test]
fn a_flipped_bit_in_the_agent_is_found() {
    damage("agent.safetensors", |bytes| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
    });
}

#[test]
fn a_flipped_bit_in_the_manifest_is_found() {
    damage("manifest.json", |bytes| {
        let digit = bytes.iter().rposition(u8::is_ascii_digit).unwrap();
        bytes[digit] ^= 1;
    });
}

#[test]
fn a_truncated_state_of_the_loop_is_found() {
    damage("loop.safetensors", |bytes| bytes.truncate(bytes.len() - 1));
}

#[test]
fn evaluation_refuses_a_damaged_agent_and_takes_the_older_one() {
    let out = tempfile::tempdir().unwrap();
    let run = two_checkpoints(out.path()).run_dir();
    let file = checkpoint_file(&run, 200, "agent.safetensors");
    let bytes = std::fs::read(&file).unwrap();
    std::fs::write(&file, &bytes[..bytes.len() / 2]).unwrap();
    let args = ["eval", run.to_str().unwrap(), "--episodes", "2"];
    let message = fail(&mut advect(&args));
    assert!(
        message.contains("damaged") && message.contains("agent.safetensors"),
        "{message}"
    );
    let older = succeed(advect(&args).args(["--checkpoint", "100"]).output());
    assert!(older.contains("checkpoint at step 100"), "{older}");
}

#[test]
fn a_missing_checkpoint_lists_those_that_are_there() {
    let out = tempfile::tempdir().unwrap();
    let run = two_checkpoints(out.path()).run_dir();
    let message = fail(&mut advect(&[
        "eval",
        run.to_str().unwrap(),
        "--checkpoint",
        "150",
    ]));
    assert!(
        message.contains("no checkpoint at step 150") && message.contains("100, 200"),
        "{message}"
    );
}

#[test]
fn a_run_cannot_be_made_another_one() {
    let out = tempfile::tempdir().unwrap();
    let run = two_checkpoints(out.path()).run_dir();
    for more in [
        &["--env", "Pendulum-v1"][..],
        &["--seed", "5"],
        &["--set", "gamma=0.5"],
    ] {
        let before = contents(&run);
        let message = fail(&mut resume(&run, more));
        assert!(
            message.contains("run") && message.starts_with("error: "),
            "{message}"
        );
        assert!(
            before == contents(&run),
            "a refused resume changed the run: {more:?}"
        );
    }
}

/// A process that may write no file beyond `blocks` of 512 bytes: a disk that is full after so many.
#[cfg(unix)]
fn on_a_full_disk(command: &std::process::Command, blocks: u64) -> std::process::Command {
    let limit = format!("trap '' XFSZ; ulimit -f {blocks}; exec \"$0\" \"$@\"");
    let mut limited = std::process::Command::new("sh");
    limited
        .arg("-c")
        .arg(limit)
        .arg(command.get_program())
        .args(command.get_args());
    limited
}

#[cfg(unix)]
#[test]
fn a_full_disk_ends_the_run_and_loses_nothing() {
    let [whole, full] = [(), ()].map(|()| tempfile::tempdir().unwrap());
    let longer = ["--steps", "300"];
    let run = two_checkpoints(whole.path()).run_dir();
    succeed(resume(&run, &longer).output());
    let expected = hash(&result(&run));

    let run = two_checkpoints(full.path()).run_dir();
    for blocks in [1, 8, 16] {
        let message = fail(&mut on_a_full_disk(&resume(&run, &longer), blocks));
        for part in [
            run.to_str().unwrap(),
            "disk full",
            "free some space and resume",
        ] {
            assert!(message.contains(part), "no `{part}` in: {message}");
        }
        assert!(checkpoint_file(&run, 200, "manifest.json").exists());
    }
    succeed(resume(&run, &longer).output());
    assert_eq!(expected, hash(&result(&run)));
}

/// Waits until the run saved a checkpoint, interrupts it, and finishes it.
#[cfg(unix)]
#[test]
fn an_interrupt_saves_and_the_printed_command_goes_on() {
    let [whole, cut] = [(), ()].map(|()| tempfile::tempdir().unwrap());
    let training = |out: &Path| {
        Training::new("sac", "Pendulum-v1", 3000, out).with(&["--set", "checkpoint_every=50"])
    };
    let expected = hash(&training(whole.path()).finish());

    let training = training(cut.path());
    let child = training.command().spawn().unwrap();
    let checkpoints = training.run_dir().join("checkpoints");
    while !std::fs::read_dir(&checkpoints).is_ok_and(|mut all| all.next().is_some()) {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    // twice, as `timeout` and some schedulers do it
    for _ in 0..2 {
        let args = ["-INT", &child.id().to_string()];
        assert!(
            std::process::Command::new("kill")
                .args(args)
                .status()
                .unwrap()
                .success()
        );
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!(
        output.status.code(),
        Some(130),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert_eq!(result(&training.run_dir())["stopped"], true);
    let stdout = String::from_utf8(output.stdout).unwrap();
    let (_, command) = stdout.trim_end().rsplit_once("go on with: ").unwrap();
    let words: Vec<&str> = command.split_whitespace().collect();
    succeed(
        std::process::Command::new(words[0])
            .args(&words[1..])
            .output(),
    );
    let finished = result(&training.run_dir());
    assert_eq!(
        (finished["stopped"].as_bool(), hash(&finished)),
        (Some(false), expected)
    );
}

/// Only the command is told, not the training that it started.
#[cfg(unix)]
#[test]
fn an_interrupted_series_passes_it_on_to_its_training() {
    let out = tempfile::tempdir().unwrap();
    let mut command = advect(&["modes", "sac", "--out"]);
    let child = command
        .arg(out.path())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let run = out.path().join("runs/sac-TwoModeBandit-v0-s0");
    while !run.join("metrics.jsonl").is_file() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    let args = ["-TERM", &child.id().to_string()];
    let kill = std::process::Command::new("kill").args(args).status();
    assert!(kill.unwrap().success());
    let output = child.wait_with_output().unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(130), "{stderr}");
    assert!(stderr.contains("the same command goes on"), "{stderr}");
    assert_eq!(result(&run)["stopped"], true);
}

/// The stop lies between checkpoints of the straight run, in the middle of a rollout for an algorithm that learns from rollouts.
#[test]
fn every_algorithm_goes_on_to_the_same_bits() {
    for algo in advect::algos::registry::names() {
        let [straight, stopped] = [(), ()].map(|()| tempfile::tempdir().unwrap());
        let expected = Training::new(algo, "MultiGoal-v0", 250, straight.path()).finish();
        let training = Training::new(algo, "MultiGoal-v0", 150, stopped.path());
        training.finish();
        succeed(resume(&training.run_dir(), &["--steps", "250"]).output());
        let resumed = result(&training.run_dir());
        assert_eq!(hash(&expected), hash(&resumed), "{algo}");
        assert_eq!(expected["evaluation"], resumed["evaluation"], "{algo}");
    }
}

#[test]
fn a_preset_does_not_silently_apply_to_a_run_that_is_there() {
    let out = tempfile::tempdir().unwrap();
    let training = Training::new("flame-r", "MultiGoal-v0", 100, out.path());
    training.finish();
    let before = contents(&training.run_dir());
    let named = fail(&mut resume(&training.run_dir(), &["--preset", "fast"]));
    assert!(named.contains("--set instead"), "{named}");
    let found = fail(training.command().args(["--resume", "--preset", "fast"]));
    assert!(found.contains("started with other settings"), "{found}");
    assert!(before == contents(&training.run_dir()), "the run changed");
}
