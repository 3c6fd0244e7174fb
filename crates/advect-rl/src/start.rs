//! What a run starts from: its environments, and either nothing or a checkpoint.

use advect_envs::{StepBuffers, VecEnv};

use crate::acting::check_bounds;
use crate::agent::Agent;
use crate::checkpoint::{self, AGENT_FILE, LOOP_FILE, MANIFEST_FILE, REPLAY_DIR};
use crate::config::RunConfig;
use crate::error::{RunError, TrainError};
use crate::eval::EnvFactory;
use crate::loop_state::{ENVS_ENTRY, LoopState};
use crate::metrics::LogLengths;
use crate::replay::Replay;
use crate::replay_store::ReplayStore;
use crate::run_dir::{RunDir, check_identity};
use crate::tracker::Tracker;

/// What a run starts from, beside agent, environments and replay.
pub(crate) struct Start {
    pub(crate) store: ReplayStore,
    pub(crate) state: LoopState,
    pub(crate) logs: LogLengths,
}

impl Start {
    pub(crate) fn fresh(run: &RunDir, envs: &VecEnv) -> Result<Self, TrainError> {
        Ok(Self {
            store: ReplayStore::new(run.path().join(REPLAY_DIR))?,
            state: LoopState::new(run.config().seed, tracker(envs)?),
            logs: LogLengths::default(),
        })
    }

    /// Reads and verifies the checkpoint at `step` into agent, environments and replay.
    pub(crate) fn resumed(
        run: &RunDir,
        step: u64,
        agent: &mut dyn Agent,
        envs: &mut VecEnv,
        replay: &mut Replay,
    ) -> Result<Self, TrainError> {
        let manifest = checkpoint::verify(run.path(), step)?;
        let dir = checkpoint::dir(run.path(), step);
        let identity = run.config().identity();
        check_identity(&dir.join(MANIFEST_FILE), manifest.config_hash, identity)?;
        let in_file = |file: &str| {
            let path = dir.join(file);
            move |source| RunError::State { path, source }
        };
        let agent_state = checkpoint::read_state(run.path(), &manifest, AGENT_FILE)?;
        agent.load(&agent_state).map_err(in_file(AGENT_FILE))?;
        let saved = checkpoint::read_state(run.path(), &manifest, LOOP_FILE)?;
        let state = LoopState::load(tracker(envs)?, &saved).map_err(in_file(LOOP_FILE))?;
        envs.load_state(saved.vec(ENVS_ENTRY).map_err(in_file(LOOP_FILE))?)?;
        let store = ReplayStore::load(run.path().join(REPLAY_DIR), &manifest.replay, replay, "")?;
        Ok(Self {
            store,
            state,
            logs: manifest.logs,
        })
    }
}

fn tracker(envs: &VecEnv) -> Result<Tracker, TrainError> {
    Ok(Tracker::new(envs.spec(), envs.len())?)
}

/// `num_envs` environments of the run, at the start of their first episodes.
pub(crate) fn make_envs(
    config: &RunConfig,
    make_env: &EnvFactory,
    num_envs: usize,
) -> Result<(VecEnv, StepBuffers), TrainError> {
    let threads = threads(config.threads, num_envs);
    let mut envs = VecEnv::new(|_| make_env(), num_envs, threads, config.seed)?;
    check_bounds(envs.spec())?;
    let mut buffers = envs.buffers();
    envs.reset(&mut buffers)?;
    Ok((envs, buffers))
}

/// Threads for `num_envs` environments; 0 stands for all cores.
fn threads(wanted: usize, num_envs: usize) -> usize {
    let available = std::thread::available_parallelism().map_or(1, |n| n.get());
    let wanted = if wanted == 0 { available } else { wanted };
    wanted.min(num_envs).max(1)
}
