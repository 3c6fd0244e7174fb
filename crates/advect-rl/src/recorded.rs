//! A run's replay as a dataset: what the agent saw while it learnt.

use std::path::Path;

use advect_envs::EnvSpec;
use advect_envs::data::{Builder, Dataset};

use crate::acting::{bound_actions, scale_actions};
use crate::checkpoint::{self, REPLAY_DIR};
use crate::error::TrainError;
use crate::replay::Replay;
use crate::replay_store::ReplayStore;
use crate::settings::LoopSettings;

/// The transitions in the replay of the checkpoint at `step`, the episodes of one environment after those of the other; actions
/// are in the environment's own units.
///
/// An episode ends where it terminated or was cut off, and where the next observation of that environment is another than the one recorded:
/// runs of older versions did not record cuts. Of a rollout's agent, these are its last transitions, as many as a rollout has.
///
/// # Errors
/// If there is no such checkpoint, it is damaged, or it was recorded with other widths.
pub fn recorded(
    run: &Path,
    step: u64,
    settings: &LoopSettings,
    spec: &EnvSpec,
) -> Result<Dataset, TrainError> {
    let manifest = checkpoint::verify(run, step)?;
    let mut replay = Replay::for_env(settings.capacity(), spec)?;
    ReplayStore::load(run.join(REPLAY_DIR), &manifest.replay, &mut replay, "")?;
    let mut builder = Builder::new(&spec.id, spec.obs_dim, spec.act_dim).with_image(spec.image);
    for env in 0..settings.num_envs {
        add_episodes(&replay, env, settings, spec, &mut builder);
    }
    Ok(builder.finish())
}

/// Adds the transitions of environment `env`: row `i` of the replay belongs to environment `i mod num_envs`.
fn add_episodes(
    replay: &Replay,
    env: usize,
    settings: &LoopSettings,
    spec: &EnvSpec,
    builder: &mut Builder,
) {
    let (mut scaled, num_envs) = (vec![0.0; spec.act_dim], settings.num_envs as u64);
    let rows = replay.first_row()..replay.pushed();
    let mut own = rows.filter(|row| row % num_envs == env as u64).peekable();
    while let Some(row) = own.next() {
        let t = replay.transition(row);
        let mut act = t.act.clone();
        bound_actions(settings, &mut act);
        scale_actions(spec, &act, &mut scaled);
        builder.push(&t.obs, &scaled, t.reward, &t.next_obs, t.terminated);
        let goes_on = |next: &u64| {
            !t.terminated && !t.truncated && replay.transition(*next).obs == t.next_obs
        };
        if !own.peek().is_some_and(goes_on) {
            builder.end_episode();
        }
    }
}
