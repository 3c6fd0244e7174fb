//! The replay against a plain vector of transitions, under random operations.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::PathBuf;

use advect_rl::replay_store::{ReplayManifest, ReplayStore};
use advect_rl::storage::Disk;
use advect_rl::{Batch, Replay, ReplayError, Transitions};
use advect_rng::Stream;
use candle_core::Device;
use proptest::prelude::*;

const OBS: usize = 3;
const ACT: usize = 2;

#[derive(Debug, Clone, PartialEq)]
struct Transition {
    obs: [f32; OBS],
    act: [f32; ACT],
    reward: f32,
    next_obs: [f32; OBS],
    terminated: bool,
    truncated: bool,
}

impl Transition {
    fn number(i: u64) -> Self {
        let x = i as f32;
        let (obs, next_obs) = ([x, x + 0.25, -x], [x + 1.0, x + 1.25, -x - 1.0]);
        Self {
            obs,
            act: [x * 0.5, 1.0 - x],
            reward: x - 0.125,
            next_obs,
            terminated: i % 5 == 3,
            truncated: i % 3 == 1,
        }
    }
}

/// All transitions ever pushed.
#[derive(Default, Clone)]
struct Model {
    all: Vec<Transition>,
}

impl Model {
    fn batch(&self, capacity: usize, stream: &mut Stream, size: usize) -> Vec<Transition> {
        let len = self.all.len().min(capacity);
        let mut slots = vec![0; size];
        stream.fill_indices(len as u32, &mut slots);
        let newest_in_slot = |slot: usize| {
            self.all
                .iter()
                .enumerate()
                .rfind(|(i, _)| i % capacity == slot)
        };
        slots
            .into_iter()
            .map(|slot| newest_in_slot(slot as usize).unwrap().1.clone())
            .collect()
    }
}

fn push(replay: &mut Replay, rows: &[Transition]) {
    let flat = |f: fn(&Transition) -> &[f32]| {
        rows.iter()
            .flat_map(|t| f(t).to_vec())
            .collect::<Vec<f32>>()
    };
    let (obs, act, next_obs) = (flat(|t| &t.obs), flat(|t| &t.act), flat(|t| &t.next_obs));
    let reward: Vec<f32> = rows.iter().map(|t| t.reward).collect();
    let terminated: Vec<bool> = rows.iter().map(|t| t.terminated).collect();
    let truncated: Vec<bool> = rows.iter().map(|t| t.truncated).collect();
    let rows = Transitions {
        obs: &obs,
        act: &act,
        reward: &reward,
        next_obs: &next_obs,
        terminated: &terminated,
        truncated: &truncated,
    };
    replay.push(rows).unwrap();
}

fn rows(batch: &Batch) -> Vec<Transition> {
    assert_eq!(batch.numbers.len(), batch.reward.elem_count());
    let matrix = |t: &candle_core::Tensor| t.to_vec2::<f32>().unwrap();
    let (obs, act, next_obs) = (
        matrix(&batch.obs),
        matrix(&batch.act),
        matrix(&batch.next_obs),
    );
    let reward = batch.reward.to_vec1::<f32>().unwrap();
    let terminated = batch.terminated.to_vec1::<f32>().unwrap();
    let truncated = batch.truncated.to_vec1::<f32>().unwrap();
    assert_eq!(batch.num_envs, reward.len());
    let row = |i: usize| Transition {
        obs: obs[i].clone().try_into().unwrap(),
        act: act[i].clone().try_into().unwrap(),
        reward: reward[i],
        next_obs: next_obs[i].clone().try_into().unwrap(),
        terminated: terminated[i] == 1.0,
        truncated: truncated[i] == 1.0,
    };
    (0..reward.len()).map(row).collect()
}

#[derive(Debug, Clone)]
enum Op {
    Push(usize),
    Sample(usize),
    Save,
    /// Goes back to the last save.
    Load,
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        4 => (1usize..9).prop_map(Op::Push),
        1 => (20usize..60).prop_map(Op::Push),
        3 => (1usize..20).prop_map(Op::Sample),
        2 => Just(Op::Save),
        1 => Just(Op::Load),
    ]
}

/// What a checkpoint would hold.
struct Saved {
    manifest: ReplayManifest,
    model: Model,
    stream: Stream,
}

struct World {
    dir: PathBuf,
    replay: Replay,
    store: ReplayStore,
    model: Model,
    stream: Stream,
    saved: Saved,
}

impl World {
    fn new(dir: PathBuf, capacity: usize, segment_bytes: usize) -> Self {
        let replay = Replay::new(capacity, OBS, ACT).unwrap();
        let mut store = ReplayStore::with_segment_bytes(&dir, segment_bytes).unwrap();
        let stream = Stream::new(1, "samples");
        let manifest = store.save(&Disk, &replay).unwrap();
        let saved = Saved {
            manifest,
            model: Model::default(),
            stream: stream.clone(),
        };
        Self {
            dir,
            replay,
            store,
            model: Model::default(),
            stream,
            saved,
        }
    }

    fn apply(&mut self, op: &Op, segment_bytes: usize) {
        match op {
            Op::Push(count) => {
                let first = self.model.all.len() as u64;
                let rows: Vec<_> = (first..first + *count as u64)
                    .map(Transition::number)
                    .collect();
                push(&mut self.replay, &rows);
                self.model.all.extend(rows);
            }
            Op::Sample(size) if self.model.all.is_empty() => {
                let result = self.replay.sample(&mut self.stream, *size, &Device::Cpu);
                assert!(matches!(result, Err(ReplayError::Empty)));
            }
            Op::Sample(size) => {
                let expected =
                    self.model
                        .batch(self.replay.capacity(), &mut self.stream.clone(), *size);
                let batch = self
                    .replay
                    .sample(&mut self.stream, *size, &Device::Cpu)
                    .unwrap();
                assert_eq!(rows(&batch), expected);
                let numbered = batch.numbers.iter().map(|i| Transition::number(*i));
                assert_eq!(numbered.collect::<Vec<_>>(), expected);
            }
            Op::Save => {
                let manifest = self.store.save(&Disk, &self.replay).unwrap();
                let needed = manifest.segments.iter().map(|s| s.file.clone()).collect();
                self.store.prune(&needed).unwrap();
                self.saved = Saved {
                    manifest,
                    model: self.model.clone(),
                    stream: self.stream.clone(),
                };
            }
            Op::Load => self.load(segment_bytes),
        }
        assert_eq!(
            self.replay.len(),
            self.model.all.len().min(self.replay.capacity())
        );
        assert_eq!(self.replay.pushed(), self.model.all.len() as u64);
    }

    fn load(&mut self, segment_bytes: usize) {
        self.replay = Replay::new(self.replay.capacity(), OBS, ACT).unwrap();
        self.store =
            ReplayStore::load(&self.dir, &self.saved.manifest, &mut self.replay, "").unwrap();
        self.store.set_segment_bytes(segment_bytes);
        self.model = self.saved.model.clone();
        self.stream = self.saved.stream.clone();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn replay_is_the_last_transitions(
        capacity in 1usize..50,
        segment_rows in 1usize..40,
        ops in prop::collection::vec(op(), 1..60),
    ) {
        let dir = tempfile::tempdir().unwrap();
        let segment_bytes = segment_rows * (2 * OBS + ACT + 2) * 4;
        let mut world = World::new(dir.path().join("replay"), capacity, segment_bytes);
        for op in &ops {
            world.apply(op, segment_bytes);
        }
    }
}

#[test]
fn slices_that_do_not_belong_together_are_refused_by_name() {
    let mut replay = Replay::new(10, OBS, ACT).unwrap();
    let rows = Transitions {
        obs: &[0.0; 3],
        act: &[0.0; 3],
        reward: &[0.0],
        next_obs: &[0.0; 3],
        terminated: &[false],
        truncated: &[false],
    };
    let error = replay.push(rows).unwrap_err().to_string();
    assert_eq!(error, "replay: `act` has 3 numbers, expected 2");
    assert!(replay.is_empty());
}

#[test]
fn a_replay_of_a_million_transitions_takes_what_its_docs_say() {
    let mut replay = Replay::new(1_000_000, 17, 6).unwrap();
    let (obs, act, reward) = (vec![0.5; 17_000], vec![0.5; 6_000], vec![1.0; 1_000]);
    let rows = Transitions {
        obs: &obs,
        act: &act,
        reward: &reward,
        next_obs: &obs,
        terminated: &[false; 1_000],
        truncated: &[false; 1_000],
    };
    (0..1_100).for_each(|_| replay.push(rows).unwrap());
    assert_eq!((replay.len(), replay.pushed()), (1_000_000, 1_100_000));
    assert_eq!(replay.row_len() * 4 * replay.len(), 168_000_000);
    let batch = replay
        .sample(&mut Stream::new(0, "s"), 256, &Device::Cpu)
        .unwrap();
    assert_eq!(batch.next_obs.dims(), [256, 17]);
}
