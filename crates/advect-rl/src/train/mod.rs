//! The training loop. It knows no algorithm by name, and holds nothing that is not in its checkpoints.

mod learning;

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use advect_envs::{StepBuffers, VecEnv};
use candle_core::{Device, Tensor};

use crate::acting::{bound_actions, chosen, scale_actions};
use crate::agent::{ActMode, Agent};
use crate::checkpoint::{self, AGENT_FILE, LOOP_FILE, Manifest};
use crate::config::RunConfig;
use crate::demonstrations::Demonstrations;
use crate::device_replay::DeviceReplay;
use crate::error::{RunError, TrainError};
use crate::eval::{EnvFactory, EvalReport, evaluate};
use crate::graphs::Graphs;
use crate::loop_state::{Counters, LoopState};
use crate::metrics::MetricsWriter;
use crate::progress::{Progress, Snapshot};
use crate::replay::{Replay, Transitions};
use crate::replay_store::ReplayStore;
use crate::run_dir::RunDir;
use crate::settings::{Data, LoopSettings, ReplaySettings};
use crate::start::{Start, make_envs};
use crate::state::StateDict;
use crate::unread::Unread;

/// How a call of [`Trainer::run`] ended.
#[derive(Debug, Clone, PartialEq)]
pub struct Outcome {
    /// Environment steps taken.
    pub env_steps: u64,
    /// Updates made.
    pub updates: u64,
    /// Whether the stop flag ended it before the last step.
    pub stopped: bool,
    /// The last evaluation; after the last step, that of the final policy.
    pub eval: Option<EvalReport>,
    /// Hash of all parameters.
    pub parameter_hash: u64,
    /// The run directory.
    pub run_dir: PathBuf,
    /// Environment steps at the last checkpoint, if there is one.
    pub checkpoint: Option<u64>,
}

/// A training run: an agent, its environments, their transitions (a replay, or the last rollouts) and its directory.
///
/// The same configuration gives the same bits (parameters, `metrics.jsonl`), whether the run went straight through or was
/// stopped, killed and resumed any number of times.
pub struct Trainer {
    run: RunDir,
    agent: Box<dyn Agent>,
    settings: LoopSettings,
    device: Device,
    make_env: EnvFactory,
    envs: VecEnv,
    buffers: StepBuffers,
    replay: Replay,
    demonstrations: Option<Demonstrations>,
    store: ReplayStore,
    log: MetricsWriter,
    state: LoopState,
    unread: Unread,
    device_replay: Option<DeviceReplay>,
    graphs: Option<Graphs>,
    saved_at: Option<u64>,
}

impl Trainer {
    /// Prepares a run: from its newest checkpoint, or from the start where there is none.
    ///
    /// # Errors
    /// If the agent, the environment and the configuration do not fit, or the checkpoint is damaged or of another run.
    pub fn new(
        run: RunDir,
        agent: Box<dyn Agent>,
        make_env: EnvFactory,
        device: Device,
    ) -> Result<Self, TrainError> {
        let newest = checkpoint::steps(run.path())?.last().copied();
        Self::prepare(run, agent, make_env, device, newest)
    }

    /// Prepares a run from the checkpoint at `step`; later checkpoints are removed, and written anew as the run goes on.
    ///
    /// # Errors
    /// As [`Trainer::new`], and if there is no such checkpoint.
    pub fn from_checkpoint(
        run: RunDir,
        agent: Box<dyn Agent>,
        make_env: EnvFactory,
        device: Device,
        step: u64,
    ) -> Result<Self, TrainError> {
        Self::prepare(run, agent, make_env, device, Some(step))
    }

    fn prepare(
        run: RunDir,
        mut agent: Box<dyn Agent>,
        make_env: EnvFactory,
        device: Device,
        step: Option<u64>,
    ) -> Result<Self, TrainError> {
        let settings = agent.loop_settings();
        settings.check()?;
        let (mut envs, buffers) = make_envs(run.config(), &make_env, settings.num_envs)?;
        let mut replay = Replay::for_env(settings.capacity(), envs.spec())?;
        let demonstrations = agent.prepare(envs.spec(), step.is_none())?;
        let Start { store, state, logs } = match step {
            Some(step) => Start::resumed(&run, step, agent.as_mut(), &mut envs, &mut replay)?,
            None => Start::fresh(&run, &envs)?,
        };
        // nothing of the run is changed before everything of the checkpoint is read
        checkpoint::discard_after(run.path(), step)?;
        let log = MetricsWriter::open(run.storage(), run.path(), logs)?;
        let is_replay = matches!(settings.data, Data::Replay(_));
        let device_replay = match is_replay {
            true => DeviceReplay::new(&replay, &device)?,
            false => None,
        };
        let graphs = match run.config().graphs {
            true => Graphs::new(&device)?,
            false => None,
        };
        let trainer = Self {
            unread: Unread::new(&device)?,
            device_replay,
            graphs,
            run,
            agent,
            settings,
            device,
            make_env,
            envs,
            buffers,
            replay,
            demonstrations,
            store,
            log,
            state,
            saved_at: step,
        };
        trainer.prune_replay()?;
        Ok(trainer)
    }

    /// The agent.
    pub fn agent(&mut self) -> &mut dyn Agent {
        self.agent.as_mut()
    }

    /// Where the agent computes.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// The run directory.
    pub fn run_dir(&self) -> &RunDir {
        &self.run
    }

    /// Environment steps taken.
    pub fn env_steps(&self) -> u64 {
        self.state.counters.env_steps
    }

    /// Trains to the configured number of environment steps, or until `stop` is set; saves a checkpoint in both cases.
    ///
    /// At the end it evaluates and logs, too. A stop during a warm-up that does not count saves nothing: the resumed run
    /// repeats the warm-up, bit for bit.
    ///
    /// # Errors
    /// [`TrainError`]; the last checkpoint stays as it is.
    pub fn run(
        &mut self,
        stop: &AtomicBool,
        progress: &mut dyn Progress,
    ) -> Result<Outcome, TrainError> {
        let (start, began_at) = (Instant::now(), self.state.counters.env_steps);
        while self.state.counters.env_steps < self.run.config().steps {
            if stop.load(Ordering::Relaxed) {
                self.save_if_new(progress)?;
                return self.outcome(true);
            }
            let before = self.state.counters.env_steps;
            match (self.settings.data, self.warmup_left()) {
                (Data::Demonstrations { batch_size }, _) => self.imitation_step(batch_size)?,
                (_, Some(replay)) => self.warmup_step(replay, progress)?,
                (_, None) => self.training_step()?,
            }
            self.report(before, progress)?;
            progress.on_step(&self.snapshot(start, began_at));
        }
        self.finish(progress)?;
        self.outcome(false)
    }

    /// The replay's settings, while its warm-up is not over.
    fn warmup_left(&self) -> Option<ReplaySettings> {
        match self.settings.data {
            Data::Replay(replay) => {
                (self.state.counters.warmup < replay.warmup_transitions).then_some(replay)
            }
            Data::Rollout { .. } | Data::Demonstrations { .. } => None,
        }
    }

    /// One vector step with uniform random actions.
    fn warmup_step(
        &mut self,
        replay: ReplaySettings,
        progress: &mut dyn Progress,
    ) -> Result<(), TrainError> {
        let obs = self.observations()?;
        self.agent.observe(&obs)?;
        let mut act = vec![0.0; self.envs.len() * self.envs.spec().act_dim];
        self.state.explore.fill_uniform_range(-1.0, 1.0, &mut act);
        self.vector_step(&act)?;
        self.state.counters.warmup += self.envs.len() as u64;
        if replay.warmup_counts {
            self.state.counters.env_steps += self.envs.len() as u64;
        }
        let (done, total) = (self.state.counters.warmup, replay.warmup_transitions);
        if done >= total {
            self.state.tracker.forget_recent();
        }
        progress.on_warmup(done, total);
        Ok(())
    }

    /// What is acted on next, on the agent's device.
    fn observations(&self) -> Result<Tensor, TrainError> {
        let shape = (self.envs.len(), self.envs.spec().obs_dim);
        Ok(Tensor::from_slice(self.envs.obs(), shape, &self.device)?)
    }

    /// One vector step of the agent and its updates.
    fn training_step(&mut self) -> Result<(), TrainError> {
        let obs = self.observations()?;
        self.agent.observe(&obs)?;
        let (graphs, agent) = (&mut self.graphs, self.agent.as_mut());
        let act = chosen(agent, self.envs.spec(), &obs, |agent, obs| match graphs {
            Some(graphs) => graphs.act(agent, obs),
            None => agent.act(obs, ActMode::Explore),
        })?;
        if let Some(index) = act.iter().position(|a| !a.is_finite()) {
            return Err(self.non_finite(
                "an action of the agent",
                format!("index {index}"),
                act[index].into(),
            ));
        }
        let is_replay = matches!(self.settings.data, Data::Replay(_));
        let learns_first = is_replay && self.run.config().overlap;
        if learns_first {
            self.learn()?;
        }
        self.vector_step(&act)?;
        self.state.counters.env_steps += self.envs.len() as u64;
        match learns_first {
            true => Ok(()),
            false => self.learn(),
        }
    }

    /// Steps all environments and stores their transitions; `act` is in the agent's units.
    fn vector_step(&mut self, act: &[f32]) -> Result<(), TrainError> {
        let obs = self.envs.obs().to_vec();
        let (mut bounded, mut scaled) = (act.to_vec(), vec![0.0; act.len()]);
        bound_actions(&self.settings, &mut bounded);
        scale_actions(self.envs.spec(), &bounded, &mut scaled);
        self.envs.step(&scaled, &mut self.buffers)?;
        let StepBuffers {
            reward,
            terminated,
            truncated,
            final_obs,
            ..
        } = &self.buffers;
        self.replay.push(Transitions {
            obs: &obs,
            act,
            reward,
            next_obs: final_obs,
            terminated,
            truncated,
        })?;
        Ok(self.state.tracker.record(&self.buffers)?)
    }

    fn non_finite(&self, what: &str, place: String, value: f64) -> TrainError {
        let Counters {
            env_steps, updates, ..
        } = self.state.counters;
        TrainError::NonFinite {
            what: what.to_owned(),
            place,
            value,
            env_steps,
            updates,
        }
    }

    /// The agent's state, in which every float must be finite.
    fn agent_state(&self) -> Result<StateDict, TrainError> {
        let mut state = StateDict::new();
        self.agent.save(&mut state)?;
        match state.first_non_finite() {
            Some((name, index, value)) => Err(self.non_finite(
                &format!("agent state `{name}`"),
                format!("index {index}"),
                value,
            )),
            None => Ok(state),
        }
    }

    /// Logs, evaluates and saves where an interval was crossed since `before` environment steps.
    fn report(&mut self, before: u64, progress: &mut dyn Progress) -> Result<(), TrainError> {
        let now = self.state.counters.env_steps;
        let crossed = |every: u64| every > 0 && before / every < now / every;
        let RunConfig {
            log_every,
            eval_every,
            checkpoint_every,
            ..
        } = *self.run.config();
        if crossed(log_every) {
            self.write_log(progress)?;
        }
        if crossed(eval_every) {
            self.evaluate(progress)?;
        }
        if crossed(checkpoint_every) {
            self.save_if_new(progress)?;
        }
        Ok(())
    }

    fn finish(&mut self, progress: &mut dyn Progress) -> Result<(), TrainError> {
        let now = Some(self.state.counters.env_steps);
        if self.state.counters.logged_at != now {
            self.write_log(progress)?;
        }
        if self.state.counters.evaluated_at != now {
            self.evaluate(progress)?;
        }
        self.save_if_new(progress)
    }

    fn write_log(&mut self, progress: &mut dyn Progress) -> Result<(), TrainError> {
        self.read_metrics()?;
        self.agent_state()?;
        let mut metrics = self.state.tracker.means.take()?;
        metrics.insert("train/episodes", self.state.tracker.episodes() as f64);
        metrics.insert("train/updates", self.state.counters.updates as f64);
        if matches!(self.settings.data, Data::Replay(_)) {
            metrics.insert("replay/size", self.replay.len() as f64);
        }
        self.log.write(self.state.counters.env_steps, &metrics)?;
        self.state.counters.logged_at = Some(self.state.counters.env_steps);
        progress.on_log(self.state.counters.env_steps, &metrics);
        Ok(())
    }

    fn evaluate(&mut self, progress: &mut dyn Progress) -> Result<(), TrainError> {
        let RunConfig {
            eval_episodes,
            seed,
            ..
        } = *self.run.config();
        let report = evaluate(
            self.agent.as_mut(),
            &self.make_env,
            eval_episodes,
            seed,
            &self.device,
        )?;
        self.log
            .write(self.state.counters.env_steps, &report.metrics())?;
        self.state.counters.evaluated_at = Some(self.state.counters.env_steps);
        progress.on_eval(self.state.counters.env_steps, &report);
        self.state.last_eval = Some(report);
        Ok(())
    }

    /// Saves a checkpoint, unless this step has one or is before the first.
    fn save_if_new(&mut self, progress: &mut dyn Progress) -> Result<(), TrainError> {
        let now = self.state.counters.env_steps;
        if now == 0 || self.saved_at == Some(now) {
            return Ok(());
        }
        self.read_metrics()?;
        let agent = self.agent_state()?.to_bytes()?;
        let state = self.state.save(&self.envs).to_bytes()?;
        let storage = self.run.storage();
        let (replay, logs) = (self.store.save(storage, &self.replay)?, self.log.sync()?);
        let manifest = Manifest::new(self.run.config().identity(), now, replay, logs);
        let files = [(AGENT_FILE, agent), (LOOP_FILE, state)];
        let path = checkpoint::save(storage, self.run.path(), manifest, &files)?;
        self.saved_at = Some(now);
        checkpoint::retain_newest(self.run.path(), self.run.config().keep_checkpoints)?;
        self.prune_replay()?;
        progress.on_checkpoint(now, &path);
        Ok(())
    }

    fn prune_replay(&self) -> Result<(), RunError> {
        match checkpoint::needed_segments(self.run.path())? {
            Some(needed) => self.store.prune(&needed),
            None => Ok(()),
        }
    }

    fn snapshot(&self, start: Instant, began_at: u64) -> Snapshot {
        let Counters {
            env_steps, updates, ..
        } = self.state.counters;
        let total_steps = self.run.config().steps;
        let steps_per_second =
            (env_steps - began_at) as f64 / start.elapsed().as_secs_f64().max(1e-9);
        let left = total_steps.saturating_sub(env_steps) as f64 / steps_per_second;
        Snapshot {
            env_steps,
            total_steps,
            updates,
            episodes: self.state.tracker.episodes(),
            mean_return: self.state.tracker.mean_return(),
            steps_per_second,
            seconds_left: left.is_finite().then_some(left),
        }
    }

    fn outcome(&self, stopped: bool) -> Result<Outcome, TrainError> {
        Ok(Outcome {
            env_steps: self.state.counters.env_steps,
            updates: self.state.counters.updates,
            stopped,
            eval: self.state.last_eval.clone(),
            parameter_hash: self.agent.parameter_hash()?,
            run_dir: self.run.path().to_owned(),
            checkpoint: self.saved_at,
        })
    }
}
