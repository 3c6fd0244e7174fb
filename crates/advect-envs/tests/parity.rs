//! Replays of Gymnasium's trajectories: observations equal to the bit, flags equal, rewards to 1e-6.
//!
//! The trajectories come from `scripts/mujoco_reference.py --out DIR`, with `ADVECT_MUJOCO_REFERENCE=DIR` here.
#![cfg(feature = "mujoco")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test")]

mod common;

use std::path::{Path, PathBuf};

use advect_envs::embedded::{MountainCarContinuous, Pendulum};
use advect_envs::mujoco::GymEnv;
use advect_envs::{Env, TimeLimit};

/// A recorded reset or step.
enum Record {
    Reset {
        qpos: Vec<f64>,
        qvel: Vec<f64>,
        obs: Vec<f64>,
    },
    Step {
        action: Vec<f32>,
        obs: Vec<f64>,
        reward: f64,
        terminated: bool,
        truncated: bool,
    },
}

struct Reader<'a>(&'a [u8]);

impl Reader<'_> {
    fn bytes<const N: usize>(&mut self) -> [u8; N] {
        let (head, rest) = self.0.split_first_chunk().expect("the file ends early");
        self.0 = rest;
        *head
    }

    fn f64s(&mut self, len: usize) -> Vec<f64> {
        (0..len).map(|_| f64::from_le_bytes(self.bytes())).collect()
    }

    fn record(&mut self, [nq, nv, nu, obs_dim]: [usize; 4]) -> Record {
        if self.bytes() == [0] {
            return Record::Reset {
                qpos: self.f64s(nq),
                qvel: self.f64s(nv),
                obs: self.f64s(obs_dim),
            };
        }
        Record::Step {
            action: (0..nu).map(|_| f32::from_le_bytes(self.bytes())).collect(),
            obs: self.f64s(obs_dim),
            reward: self.f64s(1)[0],
            terminated: self.bytes() == [1],
            truncated: self.bytes() == [1],
        }
    }
}

fn read(path: &Path) -> Vec<Record> {
    let bytes = std::fs::read(path).unwrap();
    let mut reader = Reader(&bytes);
    assert_eq!(&reader.bytes(), b"ADVREF01", "{}", path.display());
    let sizes = [(); 4].map(|()| u32::from_le_bytes(reader.bytes()) as usize);
    let mut records = Vec::new();
    while !reader.0.is_empty() {
        records.push(reader.record(sizes));
    }
    records
}

/// What a replay covered.
#[derive(Debug, Default)]
struct Covered {
    steps: usize,
    longest_episode: usize,
    terminations: usize,
    truncations: usize,
    worst_reward: f64,
}

/// Replays `records`; `reset` starts an episode in a state, `check` compares observations.
fn replay<E: Env>(
    env: &mut TimeLimit<E>,
    records: &[Record],
    reset: impl Fn(&mut TimeLimit<E>, &[f64], &[f64], &mut [f64]),
    check: impl Fn(&[f64], &[f64], usize),
) -> Covered {
    let mut found = vec![0.0; env.spec().obs_dim];
    let mut covered = Covered::default();
    let mut episode = 0;
    for (index, record) in records.iter().enumerate() {
        match record {
            Record::Reset { qpos, qvel, obs } => {
                reset(env, qpos, qvel, &mut found);
                check(&found, obs, index);
                episode = 0;
            }
            Record::Step {
                action,
                obs,
                reward,
                terminated,
                truncated,
            } => {
                let step = env.step(action, &mut found).unwrap();
                check(&found, obs, index);
                let flags = (step.terminated, step.truncated);
                assert_eq!(flags, (*terminated, *truncated), "record {index}");
                let error = (step.reward - reward).abs();
                assert!(
                    error <= 1e-6,
                    "record {index}: reward {} for {reward}",
                    step.reward
                );
                episode += 1;
                covered.steps += 1;
                covered.longest_episode = covered.longest_episode.max(episode);
                covered.terminations += usize::from(*terminated);
                covered.truncations += usize::from(*truncated);
                covered.worst_reward = covered.worst_reward.max(error);
            }
        }
    }
    covered
}

fn same_bits(found: &[f64], wanted: &[f64], record: usize) {
    for (i, (found, wanted)) in found.iter().zip(wanted).enumerate() {
        assert_eq!(
            found.to_bits(),
            wanted.to_bits(),
            "record {record}, observation[{i}]: {found} for {wanted}"
        );
    }
    assert_eq!(found.len(), wanted.len());
}

/// The files of one environment, or `None` where references are missing and not required.
fn references(id: &str) -> Option<Vec<PathBuf>> {
    let Some(folder) = std::env::var_os("ADVECT_MUJOCO_REFERENCE") else {
        let missing = "ADVECT_MUJOCO_REFERENCE is not set; run: python3 scripts/mujoco_reference.py --out DIR";
        assert!(!common::mujoco_is_required(), "{missing}");
        println!("skipped: {missing}");
        return None;
    };
    let prefix = format!("{id}--");
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(&prefix))
        })
        .collect();
    files.sort();
    assert!(
        !files.is_empty(),
        "no reference of {id} in {}",
        folder.display()
    );
    Some(files)
}

/// Replays every reference of a MuJoCo task and returns what they covered together.
fn replay_task(id: &str) -> Option<Covered> {
    if !common::mujoco_is_here() {
        return None;
    }
    let mut total = Covered::default();
    for path in references(id)? {
        let mut env = TimeLimit::new(GymEnv::new(id).unwrap());
        let reset = |env: &mut TimeLimit<GymEnv>, qpos: &[f64], qvel: &[f64], obs: &mut [f64]| {
            env.reset_with(|env| env.reset_to(qpos, qvel, obs)).unwrap();
        };
        let covered = replay(&mut env, &read(&path), reset, same_bits);
        println!("{}: {covered:?}", path.display());
        total.steps += covered.steps;
        total.longest_episode = total.longest_episode.max(covered.longest_episode);
        total.terminations += covered.terminations;
        total.truncations += covered.truncations;
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
        let reset =
            |env: &mut TimeLimit<Pendulum>, angle: &[f64], speed: &[f64], obs: &mut [f64]| {
                env.reset_with(|env| {
                    env.set_state(angle[0], speed[0], obs);
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
        let reset = |env: &mut TimeLimit<MountainCarContinuous>,
                     position: &[f64],
                     velocity: &[f64],
                     obs: &mut [f64]| {
            env.reset_with(|env| env.set_state(position[0], velocity[0], obs))
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
