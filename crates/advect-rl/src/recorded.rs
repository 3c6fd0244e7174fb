//! A run's replay as a dataset: what the agent saw while it learnt.

use std::path::Path;

use advect_envs::EnvSpec;
use advect_envs::data::{Builder, Dataset};

use crate::acting::scale_actions;
use crate::agent::LoopSettings;
use crate::checkpoint::{self, REPLAY_DIR};
use crate::error::TrainError;
use crate::replay::Replay;
use crate::replay_store::ReplayStore;

/// The transitions in the replay of the checkpoint at `step`, the episodes of one environment after those of the other; actions
/// are in the environment's own units.
///
/// The replay does not say where an episode was cut off: it ends where the next observation of that environment is another than the one
/// recorded.
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
    let mut replay = Replay::new(settings.replay_capacity, spec.obs_dim, spec.act_dim)?;
    ReplayStore::load(run.join(REPLAY_DIR), &manifest.replay, &mut replay, "")?;
    let mut builder = Builder::new(&spec.id, spec.obs_dim, spec.act_dim);
    for env in 0..settings.num_envs {
        add_episodes(&replay, env, settings.num_envs, spec, &mut builder);
    }
    Ok(builder.finish())
}

/// Adds the transitions of environment `env` of `num_envs`: row `i` of the replay belongs to environment `i mod num_envs`.
fn add_episodes(
    replay: &Replay,
    env: usize,
    num_envs: usize,
    spec: &EnvSpec,
    builder: &mut Builder,
) {
    let mut act = vec![0.0; spec.act_dim];
    let rows = replay.first_row()..replay.pushed();
    let mut own = rows
        .filter(|row| row % num_envs as u64 == env as u64)
        .peekable();
    while let Some(row) = own.next() {
        let t = replay.transition(row);
        scale_actions(spec, t.act, &mut act);
        builder.push(t.obs, &act, t.reward, t.next_obs, t.terminated);
        let goes_on = |next: &u64| replay.transition(*next).obs == t.next_obs;
        if !own.peek().is_some_and(goes_on) {
            builder.end_episode();
        }
    }
}
