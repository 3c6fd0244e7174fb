//! Frames of the MuJoCo tasks. Without EGL they are skipped; `ADVECT_REQUIRE_EGL=1` makes that a failure.
#![cfg(feature = "mujoco")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test")]

mod common;

use advect_envs::mujoco::GymEnv;
use advect_envs::{Env, EnvError, Image, make};
use advect_rng::Stream;

/// The cheetah with its joints at `bend`, or nothing where MuJoCo or EGL is missing.
fn cheetah(bend: f64) -> Option<GymEnv> {
    let required = std::env::var_os("ADVECT_REQUIRE_EGL").is_some_and(|value| value == "1");
    if !common::mujoco_is_here() {
        assert!(!required, "MuJoCo is not here");
        return None;
    }
    let mut env = GymEnv::new("HalfCheetah-v5").unwrap();
    let mut qpos = [bend; 9];
    qpos[..3].copy_from_slice(&[0.5, 0.125, 0.0]);
    env.reset_to(&qpos, &[0.0; 9], &mut [0.0; 17]).unwrap();
    match env.render(8, 8) {
        Err(error @ EnvError::EglUnavailable { .. }) if !required => {
            println!("skipped: {error}");
            None
        }
        drawn => {
            drawn.unwrap();
            Some(env)
        }
    }
}

/// Mean absolute difference of two frames, in grey levels.
fn difference(a: &Image, b: &Image) -> f64 {
    assert_eq!((a.width(), a.height()), (b.width(), b.height()));
    let pairs = a.bytes().iter().zip(b.bytes());
    let sum: f64 = pairs.map(|(a, b)| f64::from(a.abs_diff(*b))).sum();
    sum / a.bytes().len() as f64
}

#[test]
fn a_frame_shows_the_pose() {
    let (Some(straight), Some(bent)) = (cheetah(0.0), cheetah(0.5)) else {
        return;
    };
    let (straight, bent) = (
        straight.render(84, 84).unwrap(),
        bent.render(84, 84).unwrap(),
    );
    let mut colours: Vec<&[u8]> = straight.bytes().chunks(3).collect();
    colours.sort_unstable();
    colours.dedup();
    assert!(colours.len() > 20, "{} colours", colours.len());
    let difference = difference(&straight, &bent);
    assert!(difference > 0.5, "{difference}");
}

#[cfg(feature = "pixels")]
#[test]
fn a_frame_is_near_the_stored_one() {
    let Some(env) = cheetah(0.25) else {
        return;
    };
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/pixel_files");
    let file = folder.join("HalfCheetah-v5.png");
    let frame = env.render(48, 48).unwrap();
    if std::env::var_os("ADVECT_WRITE_FRAMES").is_some() {
        frame.write_png(&file).unwrap();
    }
    // renderers differ in their rounding and on edges
    let difference = difference(&frame, &Image::read_png(&file).unwrap());
    assert!(difference < 3.0, "{difference} grey levels");
}

#[test]
fn drawing_changes_nothing_and_a_loaded_state_looks_the_same() {
    let Some(mut env) = cheetah(0.0) else {
        return;
    };
    let mut plain = cheetah(0.0).unwrap();
    let (mut obs, mut plain_obs) = ([0.0; 17], [0.0; 17]);
    for step in 0..20_u8 {
        let action = [f32::from(step) / 20.0; 6];
        let taken = env.step(&action, &mut obs).unwrap();
        env.render(32, 24).unwrap();
        assert_eq!(taken, plain.step(&action, &mut plain_obs).unwrap());
        assert_eq!(obs, plain_obs);
    }
    let mut loaded = cheetah(0.5).unwrap();
    loaded.load_state(&env.save_state()).unwrap();
    assert_eq!(loaded.render(32, 24).unwrap(), env.render(32, 24).unwrap());
}

#[test]
fn sizes_models_and_threads_do_not_disturb_each_other() {
    let Some(env) = cheetah(0.25) else {
        return;
    };
    let wanted = env.render(84, 84).unwrap();
    for (width, height) in [(640, 480), (1, 1), (33, 71), (84, 84)] {
        let image = env.render(width, height).unwrap();
        assert_eq!((image.width(), image.height()), (width, height));
        assert_eq!(image.bytes().len(), 3 * width * height);
    }
    // more models than a thread keeps, a maze without the camera `track` among them
    for id in [
        "Hopper-v5",
        "Ant-v5",
        "Reacher-v5",
        "Swimmer-v5",
        "PointMaze_UMaze-v3",
        "FetchPush-v4",
        "AntGoal-v0",
    ] {
        let Ok(mut other) = make(id) else {
            continue;
        };
        let mut obs = vec![0.0; other.spec().obs_dim];
        other
            .reset(&mut Stream::new(0, "frames"), &mut obs)
            .unwrap();
        let frame = other.render(84, 84).unwrap();
        assert!(difference(&frame, &wanted) > 1.0, "{id}");
        let black = Image::filled(84, 84, [0; 3]).unwrap();
        assert!(difference(&frame, &black) > 5.0, "{id}");
    }
    assert_eq!(env.render(84, 84).unwrap(), wanted);
    let threads: Vec<_> = (0..3)
        .map(|_| std::thread::spawn(|| cheetah(0.25).unwrap().render(84, 84).unwrap()))
        .collect();
    for thread in threads {
        assert_eq!(thread.join().unwrap(), wanted);
    }
    let error = env.render(84, 0).unwrap_err();
    assert!(matches!(error, EnvError::BadFrame { .. }), "{error}");
}

/// Runs itself again where the dynamic loader finds a file that is no libEGL.
#[cfg(target_os = "linux")]
#[test]
fn without_egl_the_error_names_the_packages() {
    const AGAIN: &str = "ADVECT_TEST_WITHOUT_EGL";
    if !common::mujoco_is_here() {
        return;
    }
    if std::env::var_os(AGAIN).is_some() {
        let error = make("HalfCheetah-v5").unwrap().render(8, 8).unwrap_err();
        assert!(matches!(error, EnvError::EglUnavailable { .. }), "{error}");
        assert!(
            error.to_string().contains("apt-get install libegl1"),
            "{error}"
        );
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("libEGL.so.1"), b"no library").unwrap();
    let mut again = std::process::Command::new(std::env::current_exe().unwrap());
    again.args(["--exact", "without_egl_the_error_names_the_packages"]);
    again.env(AGAIN, "1").env("LD_LIBRARY_PATH", folder.path());
    let output = again.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && text.contains("1 passed"),
        "{text}"
    );
}
