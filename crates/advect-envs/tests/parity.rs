//! Replays of Gymnasium's trajectories: observations equal to the bit, flags equal, rewards to 1e-6.
//!
//! The trajectories come from `scripts/mujoco_reference.py --out DIR`, with `ADVECT_MUJOCO_REFERENCE=DIR` here.
#![cfg(feature = "mujoco")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test")]

mod common;

use advect_envs::TimeLimit;
use advect_envs::embedded::{MountainCarContinuous, Pendulum};
use advect_envs::mujoco::GymEnv;
use common::reference::{Covered, Start, read, references, replay, same_bits};

/// Replays every reference of a MuJoCo task and returns what they covered together.
fn replay_task(id: &str) -> Option<Covered> {
    if !common::mujoco_is_here() {
        return None;
    }
    let mut total = Covered::default();
    for path in references(id)? {
        let mut env = TimeLimit::new(GymEnv::new(id).unwrap());
        let reset = |env: &mut TimeLimit<GymEnv>, start: &Start, obs: &mut [f64]| {
            env.reset_with(|env| env.reset_to(&start.qpos, &start.qvel, obs))
                .unwrap();
        };
        let covered = replay(&mut env, &read(&path), reset, same_bits);
        println!("{}: {covered:?}", path.display());
        total.add(&covered);
    }
    Some(total)
}

/// Replays versions 5 and 4 of a task; what they covered has to satisfy `enough`.
fn replay_versions(name: &str, enough: impl Fn(&Covered) -> bool) {
    for version in ["v5", "v4"] {
        if let Some(covered) = replay_task(&format!("{name}-{version}")) {
            assert!(enough(&covered), "{name}-{version}: {covered:?}");
        }
    }
}

#[test]
fn half_cheetah_is_gymnasiums() {
    replay_versions("HalfCheetah", |c| c.truncations >= 3 && c.terminations == 0);
}

#[test]
fn swimmer_is_gymnasiums() {
    replay_versions("Swimmer", |c| c.truncations >= 3 && c.terminations == 0);
}

#[test]
fn hopper_is_gymnasiums() {
    replay_versions("Hopper", |c| c.truncations >= 3 && c.terminations >= 10);
}

#[test]
fn walker2d_is_gymnasiums() {
    replay_versions("Walker2d", |c| {
        c.longest_episode >= 200 && c.terminations >= 10
    });
}

#[test]
fn ant_is_gymnasiums() {
    replay_versions("Ant", |c| c.truncations >= 3 && c.terminations >= 3);
}

#[test]
fn humanoid_is_gymnasiums() {
    replay_versions("Humanoid", |c| {
        c.longest_episode >= 60 && c.terminations >= 10
    });
}

#[test]
fn humanoid_standup_is_gymnasiums() {
    replay_versions("HumanoidStandup", |c| {
        c.truncations >= 3 && c.terminations == 0
    });
}

#[test]
fn reacher_is_gymnasiums() {
    replay_versions("Reacher", |c| c.truncations >= 9 && c.terminations == 0);
}

#[test]
fn pusher_is_gymnasiums() {
    if let Some(covered) = replay_task("Pusher-v5") {
        assert!(covered.truncations >= 9 && covered.terminations == 0);
    }
}

#[test]
fn inverted_pendulum_is_gymnasiums() {
    replay_versions("InvertedPendulum", |c| {
        c.truncations >= 3 && c.terminations >= 10
    });
}

#[test]
fn inverted_double_pendulum_is_gymnasiums() {
    replay_versions("InvertedDoublePendulum", |c| {
        c.truncations >= 3 && c.terminations >= 10
    });
}

/// NumPy's sine and cosine are not the C library's, and Gymnasium rounds the observation to f32: one f32 ulp.
#[test]
fn pendulum_is_gymnasiums_but_for_the_rounding() {
    let Some(files) = references("Pendulum-v1") else {
        return;
    };
    for path in files {
        let reset = |env: &mut TimeLimit<Pendulum>, start: &Start, obs: &mut [f64]| {
            env.reset_with(|env| {
                env.set_state(start.qpos[0], start.qvel[0], obs);
                Ok(())
            })
            .unwrap();
        };
        let near = |found: &[f64], wanted: &[f64], record: usize| {
            for (found, wanted) in found.iter().zip(wanted) {
                let tolerance = f64::from(f32::EPSILON) * wanted.abs().max(1.0);
                assert!(
                    (found - wanted).abs() <= tolerance,
                    "record {record}: {found} for {wanted}"
                );
            }
        };
        let mut env = TimeLimit::new(Pendulum::new());
        let covered = replay(&mut env, &read(&path), reset, near);
        assert_eq!((covered.truncations, covered.longest_episode), (2, 200));
    }
}

/// Its state is f32 in Gymnasium and here, so nothing is rounded differently.
#[test]
fn mountain_car_is_gymnasiums() {
    let Some(files) = references("MountainCarContinuous-v0") else {
        return;
    };
    let (mut terminations, mut truncations) = (0, 0);
    for path in files {
        let reset = |env: &mut TimeLimit<MountainCarContinuous>, start: &Start, obs: &mut [f64]| {
            env.reset_with(|env| env.set_state(start.qpos[0], start.qvel[0], obs))
                .unwrap();
        };
        let mut env = TimeLimit::new(MountainCarContinuous::new());
        let covered = replay(&mut env, &read(&path), reset, same_bits);
        println!("{}: {covered:?}", path.display());
        terminations += covered.terminations;
        truncations += covered.truncations;
    }
    assert!(terminations >= 10 && truncations >= 6);
}
