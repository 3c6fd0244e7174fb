//! Frames as observations: bytes in the replay, on the disk and in demonstrations, numbers where an agent wants them.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::path::Path;

use advect_envs::experts::expert_of_state;
use advect_envs::make;
use advect_rl::behaviour::ByExpert;
use advect_rl::collect::{Collected, Wanted, collect};
use advect_rl::replay_store::ReplayStore;
use advect_rl::storage::Disk;
use advect_rl::{Demonstrations, EnvSpec, Replay, Transitions};
use candle_core::{DType, Device};
use tempfile::TempDir;

const ENV: &str = "MultiGoal-v0@pixels=20";

fn spec(id: &str) -> EnvSpec {
    make(id).unwrap().spec().clone()
}

fn demonstrations(out: &Path) -> Collected {
    let mut behaviour = ByExpert(expert_of_state(ENV).unwrap().unwrap());
    let wanted = Wanted::any(4);
    let make = Box::new(|| make(ENV)) as _;
    let collected = collect(&make, &wanted, 0, &mut behaviour, &mut |_, _| ()).unwrap();
    collected.dataset.write(out).unwrap();
    collected
}

/// The expert, which acts on the state, reaches its goals, and the file holds what it saw drawn.
#[test]
fn frames_are_demonstrated_by_an_expert_of_the_state() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("frames.hdf5");
    let data = demonstrations(&path).dataset;
    assert_eq!(data.episodes.len(), 4);
    assert!(data.terminated.iter().filter(|end| **end).count() == 4);
    let windows = Demonstrations::read(&path, &spec("MultiGoal-v0@pixels=20,action_chunk=2"), 0);
    let windows = windows.unwrap();
    assert_eq!(windows.len(), data.len() - 4);
    let (obs, act) = windows.gather(&[0, 3], &Device::Cpu).unwrap();
    assert_eq!((obs.dims(), obs.dtype()), (&[2, 1200][..], DType::U8));
    assert_eq!(act.dims(), [2, 4]);
    let frames = data.frames.unwrap();
    assert_eq!(obs.to_vec2::<u8>().unwrap()[1], frames.obs[3600..4800]);
    let fewer = Demonstrations::read(&path, &spec("MultiGoal-v0@pixels=20"), 2).unwrap();
    assert_ne!(fewer.fingerprint(), windows.fingerprint());
    let error = |id: &str| {
        let refused = Demonstrations::read(&path, &spec(id), 0);
        refused.unwrap_err().to_string()
    };
    let other = error("MultiGoal-v0@pixels=24");
    assert!(
        other.contains("3 channels of 20x20") && other.contains("24x24"),
        "{other}"
    );
    let state = error("MultiGoal-v0");
    assert!(
        state.contains("its frames are 3 channels of 20x20") && state.contains("none"),
        "{state}"
    );
}

#[test]
fn a_replay_keeps_frames_as_bytes_and_restores_them() {
    let spec = spec(ENV);
    let mut replay = Replay::for_env(6, &spec).unwrap();
    let row = |step: usize| vec![step as f32; 1200];
    for step in 0..8 {
        let pushed = Transitions {
            obs: &row(step),
            act: &[0.25, -0.5],
            reward: &[step as f32],
            next_obs: &row(step + 1),
            terminated: &[false],
            truncated: &[step == 7],
        };
        replay.push(pushed).unwrap();
    }
    assert_eq!(replay.row_bytes(), 2 * 1200 + 4 * (2 + 1 + 1));
    let dir = TempDir::new().unwrap();
    let mut store = ReplayStore::with_segment_bytes(dir.path(), 6000).unwrap();
    let manifest = store.save(&Disk, &replay).unwrap();
    let mut restored = Replay::for_env(6, &spec).unwrap();
    ReplayStore::load(dir.path(), &manifest, &mut restored, "").unwrap();
    assert_eq!(restored, replay);
    let batch = restored.rollouts(2, 1, &Device::Cpu).unwrap();
    assert_eq!(
        (batch.obs.dtype(), batch.obs.dims()),
        (DType::U8, &[6, 1200][..])
    );
    assert_eq!(batch.next_obs.to_vec2::<u8>().unwrap()[5][7], 8);
    let numbers = batch.with_numbers().unwrap();
    assert_eq!(numbers.obs.to_vec2::<f32>().unwrap()[0][7], 2.0);
    // rows of another kind are not taken for these
    let mut other = Replay::new(6, 1200, 2).unwrap();
    let error = ReplayStore::load(dir.path(), &manifest, &mut other, "")
        .err()
        .unwrap();
    assert!(error.to_string().contains("stored transitions"), "{error}");
}
