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
fn a_robomimic_file_is_converted_by_its_keys() {
    let folder = tempfile::tempdir().unwrap();
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../advect-envs/tests/data_files/robomimic.hdf5");
    let out = folder.path().join("converted.hdf5");
    let convert = |keys: &str| {
        let mut command = advect(&["data", "convert", "--env", "gym:robosuite_tasks:Square-v0"]);
        command
            .arg(&file)
            .args(["--keys", keys])
            .arg("--out")
            .arg(&out);
        command
    };
    let message = fail(&mut convert("robot0_eef_pos,force"));
    assert!(message.contains("force"), "{message}");
    assert!(!out.exists());
    succeed(convert("robot0_eef_pos,object").output());
    let (found, all) = (Dataset::read(&out).unwrap(), Dataset::read(&file).unwrap());
    let named = found.env.as_deref();
    assert_eq!(named, Some("gym:robosuite_tasks:Square-v0"));
    let keys = ["robot0_eef_pos", "object"];
    let wanted = advect::envs::data::read_robomimic(&file, &keys).unwrap();
    assert_eq!((&found.obs, &found.act), (&wanted.obs, &all.act));
    assert_eq!(found.episodes, all.episodes);
    // the same numbers, in the order that was asked for
    assert_ne!(found.obs, all.obs);
}

#[test]
fn a_trained_agent_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let training = Training::new("sac", "Pendulum-v1", 80, folder.path());
    training.finish();
    let run = training.run_dir();
    let message = fail(&mut collect(
        run.to_str().unwrap(),
        &folder.path().join("x"),
        &["--env", "MultiGoal-v0"],
    ));
    assert!(
        message.contains("trained on Pendulum-v1 with 3 and 1"),
        "{message}"
    );
    let mut other = advect(&["eval", run.to_str().unwrap(), "--episodes", "2"]);
    let stdout = succeed(
        other
            .args(["--env", "Pendulum-v1@max_episode_steps=7"])
            .output(),
    );
    assert!(stdout.contains("2 episodes of 7.0 steps"), "{stdout}");

    let files = ["calm.hdf5", "exploring.hdf5"].map(|name| folder.path().join(name));
    succeed(collect(run.to_str().unwrap(), &files[0], &[]).output());
    succeed(collect(run.to_str().unwrap(), &files[1], &["--explore"]).output());
    let [calm, exploring] = files.map(|file| Dataset::read(&file).unwrap());
    assert_eq!(calm.obs[..3], exploring.obs[..3], "the same first state");
    assert_ne!(calm.act, exploring.act);
}

#[test]
fn an_expert_is_recorded_up_to_its_success() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("maze.hdf5");
    let id = "Maze2dMedium-v0@coverage=0.25";
    let more = [
        "--env",
        id,
        "--noise",
        "0.5",
        "--successful",
        "--min-length",
        "30",
    ];
    let stdout = succeed(collect("scripted", &file, &more).output());
    assert!(stdout.contains("episodes achieved the task"), "{stdout}");
    let dataset = Dataset::read(&file).unwrap();
    assert_eq!(dataset.env.as_deref(), Some(id));
    assert_eq!(dataset.episodes.len(), 3);
    assert!(dataset.episodes.iter().all(|episode| episode.len() >= 30));
    assert_eq!(dataset.returns(), [1.0; 3]);
    assert!(dataset.act.iter().all(|a| a.abs() <= 1.0));

    let never = ["--env", id, "--max-length", "1", "--min-return", "2"];
    let message = fail(&mut collect("scripted", &file, &never));
    assert!(message.contains("only 0 of 60 episodes"), "{message}");
    let message = fail(&mut collect("scripted", &file, &["--env", "Pendulum-v1"]));
    assert!(message.contains("has no expert"), "{message}");
}

#[test]
fn a_replay_and_a_skill_are_taken_from_a_run() {
    let folder = tempfile::tempdir().unwrap();
    let mut training = Training::new("sac", "Pendulum-v1", 420, folder.path());
    let every = [
        "checkpoint_every=210",
        "eval_every=210",
        "keep_checkpoints=9",
    ];
    for setting in every {
        training.extra.extend(["--set".into(), setting.into()]);
    }
    training.finish();
    let run = training.run_dir();
    let run = run.to_str().unwrap();
    let file = folder.path().join("replay.hdf5");
    let record = |more: &[&str]| {
        let mut command = advect(&["collect", run]);
        command.arg("--out").arg(&file).args(more);
        succeed(command.output());
        Dataset::read(&file).unwrap()
    };
    let all = record(&["--replay"]);
    let lengths = |dataset: &Dataset| dataset.episodes.iter().map(|e| e.len()).collect::<Vec<_>>();
    assert_eq!(lengths(&all), [200, 200, 20]);
    let half = record(&["--replay", "--checkpoint", "210"]);
    assert_eq!(lengths(&half), [200, 10]);
    assert_eq!(half.act[..200], all.act[..200]);
    let expert = record(&["--skill", "expert", "--episodes", "1"]);
    assert_eq!(lengths(&expert), [200]);
    assert_eq!(record(&["--skill", "medium", "--episodes", "1"]).len(), 200);
}

#[test]
fn a_set_of_demonstrations_is_made_by_one_command() {
    let folder = tempfile::tempdir().unwrap();
    let demos = |name: &str| {
        let mut command = advect(&["demos", name]);
        command.arg("--out").arg(folder.path());
        command
    };
    succeed(demos("maze2d-25").output());
    let dataset = Dataset::read(&folder.path().join("maze2d-25.hdf5")).unwrap();
    assert_eq!(dataset.episodes.len(), 100);
    assert_eq!(dataset.returns(), [1.0; 100]);
    let message = fail(&mut demos("maze2d-26"));
    assert!(message.contains("maze2d-25"), "{message}");
    let listed = succeed(advect(&["demos"]).output());
    assert!(
        listed.contains("advect train sac --env Hopper-v5"),
        "{listed}"
    );
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
