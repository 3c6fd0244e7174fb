//! MuJoCo beneath the environments: saved states, threads, errors, other libraries.
#![cfg(feature = "mujoco")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test")]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use advect_envs::mujoco::{Data, GymEnv, Installation, Model, take_warnings};
use advect_envs::{Env, EnvError, VecEnv, make};
use advect_rng::Stream;

/// Observation and reward of each step of `env` under random actions, with resets.
fn rollout(env: &mut dyn Env, rng: &mut Stream, steps: usize) -> Vec<(Vec<u64>, u64, bool)> {
    let spec = env.spec().clone();
    let (mut obs, mut action) = (vec![0.0; spec.obs_dim], vec![0.0; spec.act_dim]);
    (0..steps)
        .map(|_| {
            rng.fill_uniform_range(spec.act_low[0], spec.act_high[0], &mut action);
            let step = env.step(&action, &mut obs).unwrap();
            let bits = obs.iter().map(|o| o.to_bits()).collect();
            if step.is_last() {
                env.reset(rng, &mut obs).unwrap();
            }
            (bits, step.reward.to_bits(), step.is_last())
        })
        .collect()
}

fn started(id: &str, seed: u64) -> (Box<dyn Env>, Stream) {
    let (mut env, mut rng) = (make(id).unwrap(), Stream::new(seed, "test"));
    let mut obs = vec![0.0; env.spec().obs_dim];
    env.reset(&mut rng, &mut obs).unwrap();
    (env, rng)
}

#[test]
fn specs_are_gymnasiums() {
    if !common::mujoco_is_here() {
        return;
    }
    let expected = [
        ("HalfCheetah-v5", 17, 6, 1.0, 1000, Some(4800.0)),
        ("Hopper-v5", 11, 3, 1.0, 1000, Some(3800.0)),
        ("Walker2d-v5", 17, 6, 1.0, 1000, None),
        ("Ant-v5", 105, 8, 1.0, 1000, Some(6000.0)),
        ("Humanoid-v5", 348, 17, 0.4, 1000, None),
        ("HumanoidStandup-v5", 348, 17, 0.4, 1000, None),
        ("Swimmer-v5", 8, 2, 1.0, 1000, Some(360.0)),
        ("Reacher-v5", 10, 2, 1.0, 50, Some(-3.75)),
        ("Pusher-v5", 23, 7, 2.0, 100, Some(0.0)),
        ("InvertedPendulum-v5", 4, 1, 3.0, 1000, Some(950.0)),
        ("InvertedDoublePendulum-v5", 9, 1, 1.0, 1000, Some(9100.0)),
        ("HalfCheetah-v4", 17, 6, 1.0, 1000, Some(4800.0)),
        ("Hopper-v4", 11, 3, 1.0, 1000, Some(3800.0)),
        ("Walker2d-v4", 17, 6, 1.0, 1000, None),
        ("Ant-v4", 27, 8, 1.0, 1000, Some(6000.0)),
        ("Humanoid-v4", 376, 17, 0.4, 1000, None),
        ("HumanoidStandup-v4", 376, 17, 0.4, 1000, None),
        ("Swimmer-v4", 8, 2, 1.0, 1000, Some(360.0)),
        ("Reacher-v4", 11, 2, 1.0, 50, Some(-3.75)),
        ("InvertedPendulum-v4", 4, 1, 3.0, 1000, Some(950.0)),
        ("InvertedDoublePendulum-v4", 11, 1, 1.0, 1000, Some(9100.0)),
    ];
    assert_eq!(GymEnv::ids().count(), expected.len());
    for (id, obs_dim, act_dim, bound, limit, threshold) in expected {
        let env = make(id).unwrap();
        let spec = env.spec();
        assert_eq!(
            (spec.id.as_str(), spec.obs_dim, spec.act_dim),
            (id, obs_dim, act_dim)
        );
        assert_eq!(spec.act_high, vec![bound; act_dim]);
        assert_eq!(spec.act_low, vec![-bound; act_dim]);
        assert_eq!(
            (spec.max_episode_steps, spec.reward_threshold),
            (Some(limit), threshold)
        );
    }
}

#[test]
fn first_states_follow_the_reset_noise() {
    if !common::mujoco_is_here() {
        return;
    }
    for (id, bound, normal) in [("Hopper-v5", 5e-3, false), ("HalfCheetah-v5", 0.1, true)] {
        let (mut env, mut rng) = (GymEnv::new(id).unwrap(), Stream::new(1, "reset"));
        let mut obs = vec![0.0; env.spec().obs_dim];
        let (mut beyond, mut count) = (0, 0);
        for _ in 0..100 {
            env.reset(&mut rng, &mut obs).unwrap();
            let pose = env.data().model().qpos0().to_vec();
            for (position, reference) in env.data().qpos().iter().zip(pose) {
                assert!((position - reference).abs() <= bound, "{id}");
            }
            beyond += env.data().qvel().iter().filter(|v| v.abs() > bound).count();
            count += env.data().qvel().len();
        }
        // a third of the normal draws lies beyond one standard deviation, no uniform draw beyond its bound
        let share = beyond as f64 / count as f64;
        assert_eq!(normal, share > 0.0, "{id}: {share}");
        assert!(!normal || (share - 0.3173).abs() < 0.08, "{id}: {share}");
    }
}

#[test]
fn a_saved_state_continues_with_the_same_bits() {
    if !common::mujoco_is_here() {
        return;
    }
    for id in GymEnv::ids() {
        for before in [0, 1, 7, 60] {
            let (mut env, mut rng) = started(id, 11);
            rollout(&mut *env, &mut rng, before);
            let (state, stream) = (env.save_state(), rng.state());
            let expected = rollout(&mut *env, &mut rng, 60);
            // into an environment that never ran, and into one that has gone elsewhere
            let (mut other, mut other_rng) = started(id, 12);
            rollout(&mut *other, &mut other_rng, 20);
            for mut copy in [make(id).unwrap(), other] {
                copy.load_state(&state).unwrap();
                assert_eq!(copy.save_state(), state, "{id}");
                let found = rollout(&mut *copy, &mut Stream::from_state(stream), 60);
                assert_eq!(found, expected, "{id} after {before} steps");
            }
        }
    }
}

#[test]
fn a_state_of_another_task_is_refused() {
    if !common::mujoco_is_here() {
        return;
    }
    let (hopper, _) = started("Hopper-v5", 0);
    let (mut ant, _) = started("Ant-v5", 0);
    let before = ant.save_state();
    let error = ant.load_state(&hopper.save_state()).unwrap_err();
    assert!(
        matches!(&error, EnvError::BadState { id, .. } if id == "Ant-v5"),
        "{error}"
    );
    assert_eq!(ant.save_state(), before);
}

#[test]
fn threads_change_nothing() {
    if !common::mujoco_is_here() {
        return;
    }
    for id in ["HalfCheetah-v5", "Humanoid-v5"] {
        let run = |threads| {
            let mut envs = VecEnv::new(|_| make(id), 5, threads, 3).unwrap();
            let (mut out, mut rng) = (envs.buffers(), Stream::new(4, "actions"));
            let mut actions = vec![0.0; 5 * envs.spec().act_dim];
            envs.reset(&mut out).unwrap();
            for _ in 0..60 {
                rng.fill_uniform_range(-0.4, 0.4, &mut actions);
                envs.step(&actions, &mut out).unwrap();
            }
            (out, envs.save_state())
        };
        assert_eq!(run(1), run(2), "{id}");
        assert_eq!(run(1), run(5), "{id}");
    }
}

#[test]
fn an_error_inside_mujoco_is_typed_and_ends_only_its_simulation() {
    if !common::mujoco_is_here() {
        return;
    }
    // stacked boxes in an arena that is too small for their contacts
    let boxes: String = (0..40)
        .map(|i| {
            format!(
                r#"<body pos="0 0 {}"><freejoint/><geom type="box" size=".1 .1 .1"/></body>"#,
                0.01 * f64::from(i)
            )
        })
        .collect();
    let xml = format!(r#"<mujoco><size memory="32K"/><worldbody>{boxes}</worldbody></mujoco>"#);
    let mut data = Data::new(Arc::new(Model::from_xml_str(&xml).unwrap())).unwrap();
    let error = data.step(1, false).unwrap_err();
    let EnvError::MujocoFailed { message } = &error else {
        panic!("{error}")
    };
    assert!(
        message.contains("stack") || message.contains("memory"),
        "{message}"
    );
    assert_eq!(
        data.step(1, false).unwrap_err(),
        error,
        "a failed simulation is not touched again"
    );
    drop(data);
    let (mut env, mut rng) = started("Hopper-v5", 0);
    assert_eq!(rollout(&mut *env, &mut rng, 5).len(), 5);
}

#[test]
fn models_that_do_not_compile_are_named() {
    if !common::mujoco_is_here() {
        return;
    }
    let error = Model::from_xml_str("<mujoco><worldbody><geom/></worldbody></mujoco>").unwrap_err();
    assert!(error.to_string().contains("size"), "{error}");
    let error = Model::from_xml_path(Path::new("/nowhere/robot.xml")).unwrap_err();
    assert!(
        matches!(&error, EnvError::MujocoModel { model, .. } if model == "/nowhere/robot.xml"),
        "{error}"
    );
}

#[test]
fn warnings_are_kept_and_neither_printed_nor_logged() {
    if !common::mujoco_is_here() {
        return;
    }
    let mut env = GymEnv::new("Hopper-v5").unwrap();
    let mut obs = vec![0.0; 11];
    env.reset_to(&[0.0, 1.25, 0.0, 0.0, 0.0, 0.0], &[1e12; 6], &mut obs)
        .unwrap();
    env.step(&[0.0; 3], &mut obs).unwrap();
    let warnings = take_warnings();
    assert!(
        warnings.iter().any(|warning| warning.contains("unstable")),
        "{warnings:?}"
    );
    assert!(
        obs.iter().all(|o| o.is_finite()),
        "MuJoCo resets an unstable state"
    );
    assert!(!Path::new("MUJOCO_LOG.TXT").exists());
}

/// Compiles C into a shared library.
fn library(folder: &Path, source: &str) -> PathBuf {
    let (c, so) = (folder.join("fake.c"), folder.join("fake.so"));
    std::fs::write(&c, source).unwrap();
    let compiler = Command::new("cc")
        .args(["-shared", "-fPIC", "-o"])
        .arg(&so)
        .arg(&c)
        .status();
    assert!(
        compiler
            .expect("cc, which Rust links with as well")
            .success()
    );
    so
}

fn verify(library: PathBuf) -> EnvError {
    let (models, robotics) = (PathBuf::new(), PathBuf::new());
    let found = Installation {
        library,
        models,
        robotics,
    };
    found.verify().unwrap_err()
}

#[test]
fn a_library_of_another_version_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    for version in [3_016_000, 3_017_001, 4_000_000] {
        let path = library(
            folder.path(),
            &format!("int mj_version(void) {{ return {version}; }}"),
        );
        let error = verify(path.clone());
        let wanted = EnvError::MujocoVersion {
            path: path.clone(),
            found: version,
            wanted: 3_017_000,
        };
        assert_eq!(error, wanted);
        let text = error.to_string();
        assert!(
            text.contains(&version.to_string()) && text.contains("3017000"),
            "{text}"
        );
        assert!(
            text.contains(&path.display().to_string()) && text.contains("cargo xtask setup mujoco"),
            "{text}"
        );
        std::fs::remove_file(path).unwrap();
    }
}

#[test]
fn files_that_are_no_mujoco_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text.so");
    std::fs::write(&text, "not a library").unwrap();
    let bare = library(folder.path(), "int mj_version(void) { return 3017000; }");
    let other = library(
        &{
            let sub = folder.path().join("other");
            std::fs::create_dir(&sub).unwrap();
            sub
        },
        "int other(void) { return 0; }",
    );
    for (path, words) in [
        (text, "text.so"),
        (bare, "mj_"),
        (other, "mj_version"),
        (folder.path().join("none.so"), "none.so"),
    ] {
        let error = verify(path);
        assert!(matches!(&error, EnvError::MujocoLoad { .. }), "{error}");
        assert!(error.to_string().contains(words), "{error}");
    }
}
