//! Saved episodes: played again to the same bits, or refused, or cut off where that was chosen.

use advect_envs::bridge::{BridgeConfig, BridgeError, OnResume, Pool};
use advect_envs::{Env, EnvError, VecEnv};
use advect_rng::Stream;

use crate::support::{fault, point_config, python_is_here, start};

fn vector(config: BridgeConfig, seed: u64) -> VecEnv {
    let pool = Pool::new(config, 2);
    let mut envs = VecEnv::new(|_| Ok(Box::new(pool.make()?)), 3, 1, seed).unwrap();
    envs.reset(&mut envs.buffers()).unwrap();
    envs
}

#[test]
fn a_resumed_vector_continues_with_the_same_bits() {
    if !python_is_here() {
        return;
    }
    for taken in [0, 7, 20, 33] {
        let mut envs = vector(point_config("Point-v0"), 1);
        let mut out = envs.buffers();
        for _ in 0..taken {
            envs.step(&[0.5, -0.25, 1.0], &mut out).unwrap();
        }
        let saved = envs.save_state();
        let mut resumed = vector(point_config("Point-v0"), 99);
        resumed.load_state(&saved).unwrap();
        assert_eq!(resumed.save_state(), saved);
        let mut again = envs.buffers();
        for _ in 0..30 {
            envs.step(&[0.5; 3], &mut out).unwrap();
            resumed.step(&[0.5; 3], &mut again).unwrap();
            assert_eq!(again, out);
        }
    }
}

#[test]
fn an_episode_that_plays_differently_is_refused() {
    if !python_is_here() {
        return;
    }
    let mut envs = vector(point_config("Drift-v0"), 1);
    envs.step(&[0.5; 3], &mut envs.buffers()).unwrap();
    let error = vector(point_config("Drift-v0"), 1)
        .load_state(&envs.save_state())
        .unwrap_err();
    assert!(
        matches!(fault(error.clone()), BridgeError::Replay { .. }),
        "{error}"
    );
    assert!(error.to_string().contains("OnResume::Truncate"), "{error}");
}

#[test]
fn a_shorter_episode_is_refused() {
    if !python_is_here() {
        return;
    }
    let with_gain = |gain: &str| BridgeConfig {
        arguments: format!("{{\"gain\": {gain}}}"),
        ..point_config("Point-v0")
    };
    let (_one, mut env) = start(with_gain("1.0"));
    let mut obs = [0.0; 2];
    env.reset(&mut Stream::new(0, "a"), &mut obs).unwrap();
    for _ in 0..9 {
        env.step(&[0.5], &mut obs).unwrap();
    }
    let (_two, mut other) = start(with_gain("100.0"));
    let error = other.load_state(&env.save_state()).unwrap_err();
    assert!(
        error.to_string().contains("ended at step 1 of 9"),
        "{error}"
    );
}

#[test]
fn truncation_is_there_by_choice() {
    if !python_is_here() {
        return;
    }
    let config = BridgeConfig {
        on_resume: OnResume::Truncate,
        ..point_config("Drift-v0")
    };
    let mut envs = vector(config.clone(), 1);
    let mut out = envs.buffers();
    envs.step(&[0.5; 3], &mut out).unwrap();
    let (saved, last) = (envs.save_state(), out.obs.clone());
    let mut resumed = vector(config, 2);
    resumed.load_state(&saved).unwrap();
    assert_eq!(resumed.save_state(), saved);
    resumed.step(&[0.5; 3], &mut out).unwrap();
    assert_eq!((&out.truncated, &out.final_obs), (&vec![true; 3], &last));
    resumed.step(&[0.5; 3], &mut out).unwrap();
    assert_eq!(out.truncated, [false; 3]);
}

#[test]
fn damaged_states_are_refused() {
    if !python_is_here() {
        return;
    }
    let (_bridge, mut env) = start(point_config("Point-v0"));
    let mut obs = [0.0; 2];
    let idle = env.save_state();
    env.reset(&mut Stream::new(0, "a"), &mut obs).unwrap();
    env.step(&[0.5], &mut obs).unwrap();
    let good = env.save_state();
    let longer = [&good[..], &[0]].concat();
    let cut = (0..good.len()).map(|len| &good[..len]);
    for bad in cut.chain([&longer[..], &[2]]) {
        let error = env.load_state(bad).unwrap_err();
        assert!(matches!(error, EnvError::BadState { .. }), "{error}");
    }
    env.load_state(&idle).unwrap();
    let error = env.step(&[0.5], &mut obs).unwrap_err();
    assert!(matches!(error, EnvError::NeedsReset { .. }), "{error}");
}
