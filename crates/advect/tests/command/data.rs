//! Recording episodes and looking at files.

use crate::harness::{Training, advect, fail, succeed};
use advect::envs::data::Dataset;
use std::path::Path;

fn collect(source: &str, out: &Path, more: &[&str]) -> std::process::Command {
    let mut command = advect(&["collect", source, "--episodes", "3"]);
    command.arg("--out").arg(out).args(more);
    command
}

#[test]
fn random_episodes_are_recorded_and_described() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("random.hdf5");
    let more = ["--env", "Pendulum-v1", "--seed", "4"];
    let stdout = succeed(collect("random", &file, &more).output());
    assert!(stdout.contains("600 transitions"), "{stdout}");
    let dataset = Dataset::read(&file).unwrap();
    assert_eq!(dataset.env.as_deref(), Some("Pendulum-v1"));
    assert_eq!((dataset.len(), dataset.episodes.len()), (600, 3));
    assert!(dataset.terminated.iter().all(|terminated| !terminated));
    let widest = dataset
        .act
        .iter()
        .fold(0.0_f32, |most, a| most.max(a.abs()));
    assert!(
        1.9 < widest && widest <= 2.0,
        "actions in its own units: {widest}"
    );

    let again = folder.path().join("again.hdf5");
    succeed(collect("random", &again, &more).output());
    assert_eq!(Dataset::read(&again).unwrap(), dataset, "the same seed");
    let info = succeed(advect(&["data", "info"]).arg(&file).output());
    for part in [
        "Pendulum-v1",
        "3 (0 terminated, 3 cut off)",
        "observation[2]",
    ] {
        assert!(info.contains(part), "no `{part}` in {info}");
    }
}

#[test]
fn a_trained_agent_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let training = Training::new("sac", "Pendulum-v1", 80, folder.path());
    training.finish();
    let run = training.run_dir();
    let files = ["calm.hdf5", "exploring.hdf5"].map(|name| folder.path().join(name));
    succeed(collect(run.to_str().unwrap(), &files[0], &[]).output());
    succeed(collect(run.to_str().unwrap(), &files[1], &["--explore"]).output());
    let [calm, exploring] = files.map(|file| Dataset::read(&file).unwrap());
    assert_eq!(calm.obs[..3], exploring.obs[..3], "the same first state");
    assert_ne!(calm.act, exploring.act);
}

#[test]
fn what_is_missing_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("set.hdf5");
    let message = fail(&mut collect("random", &file, &[]));
    assert!(message.contains("--env"), "{message}");
    let message = fail(&mut collect("no/such/run", &file, &[]));
    assert!(message.contains("no/such/run"), "{message}");
    let message = fail(advect(&["data", "info"]).arg(&file));
    assert!(message.contains("set.hdf5"), "{message}");
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}
