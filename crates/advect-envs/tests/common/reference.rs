//! Gymnasium's trajectories, as `scripts/mujoco_reference.py` writes them, and their replay.

use std::path::{Path, PathBuf};

use advect_envs::{Env, TimeLimit};

use super::mujoco_is_required;

/// The first state of an episode, and what Gymnasium observed in it.
pub struct Start {
    pub qpos: Vec<f64>,
    pub qvel: Vec<f64>,
    pub obs: Vec<f64>,
}

/// A recorded reset or step.
pub enum Record {
    Reset(Start),
    Step {
        action: Vec<f32>,
        obs: Vec<f64>,
        reward: f64,
        terminated: bool,
        truncated: bool,
        /// Whether the task is achieved, where the environment says that.
        achieved: Option<bool>,
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
            return Record::Reset(Start {
                qpos: self.f64s(nq),
                qvel: self.f64s(nv),
                obs: self.f64s(obs_dim),
            });
        }
        let action = (0..nu).map(|_| f32::from_le_bytes(self.bytes())).collect();
        let (obs, reward) = (self.f64s(obs_dim), self.f64s(1)[0]);
        let [flags, truncated] = self.bytes();
        Record::Step {
            action,
            obs,
            reward,
            terminated: flags & 1 != 0,
            truncated: truncated == 1,
            achieved: (flags & 2 != 0).then_some(flags & 4 != 0),
        }
    }
}

pub fn read(path: &Path) -> Vec<Record> {
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
pub struct Covered {
    pub steps: usize,
    pub longest_episode: usize,
    pub terminations: usize,
    pub truncations: usize,
    /// Steps with a reward other than zero.
    pub rewarded: usize,
    /// Steps after which the environment said that the task is achieved.
    pub achieved: usize,
    /// Steps whose reward has other bits.
    pub other_rewards: usize,
    pub worst_reward: f64,
}

impl Covered {
    /// Adds what another replay covered.
    pub fn add(&mut self, other: &Self) {
        self.steps += other.steps;
        self.longest_episode = self.longest_episode.max(other.longest_episode);
        self.terminations += other.terminations;
        self.truncations += other.truncations;
        self.rewarded += other.rewarded;
        self.achieved += other.achieved;
        self.other_rewards += other.other_rewards;
        self.worst_reward = self.worst_reward.max(other.worst_reward);
    }
}

/// Replays `records`; `reset` starts an episode in a state, `check` compares observations.
pub fn replay<E: Env>(
    env: &mut TimeLimit<E>,
    records: &[Record],
    reset: impl Fn(&mut TimeLimit<E>, &Start, &mut [f64]),
    check: impl Fn(&[f64], &[f64], usize),
) -> Covered {
    let mut found = vec![0.0; env.spec().obs_dim];
    let mut covered = Covered::default();
    let mut episode = 0;
    for (index, record) in records.iter().enumerate() {
        match record {
            Record::Reset(start) => {
                reset(env, start, &mut found);
                check(&found, &start.obs, index);
                episode = 0;
            }
            Record::Step {
                action,
                obs,
                reward,
                terminated,
                truncated,
                achieved,
            } => {
                let step = env.step(action, &mut found).unwrap();
                check(&found, obs, index);
                let flags = (step.terminated, step.truncated);
                assert_eq!(flags, (*terminated, *truncated), "record {index}");
                if achieved.is_some() {
                    assert_eq!(env.is_success(), *achieved, "record {index}");
                }
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
                covered.rewarded += usize::from(*reward != 0.0);
                covered.achieved += usize::from(*achieved == Some(true));
                covered.other_rewards += usize::from(step.reward.to_bits() != reward.to_bits());
                covered.worst_reward = covered.worst_reward.max(error);
            }
        }
    }
    covered
}

pub fn same_bits(found: &[f64], wanted: &[f64], record: usize) {
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
pub fn references(id: &str) -> Option<Vec<PathBuf>> {
    let Some(folder) = std::env::var_os("ADVECT_MUJOCO_REFERENCE") else {
        let missing = "ADVECT_MUJOCO_REFERENCE is not set; run: python3 scripts/mujoco_reference.py --out DIR";
        assert!(!mujoco_is_required(), "{missing}");
        println!("skipped: {missing}");
        return None;
    };
    let prefix = format!("{}--", id.replace('/', "."));
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
