//! Many environments stepped at once by a fixed number of threads.

use std::ops::Range;
use std::sync::mpsc::{Receiver, RecvError, SyncSender, TryRecvError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use advect_rng::Stream;

use crate::shard::{Command, Shard};
use crate::state::{StateReader, StateWriter};
use crate::{Env, EnvError, EnvSpec};

/// What a vector of `E` environments returns, row by row; allocated once by the caller.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct StepBuffers {
    /// Observations to act on next `[E * obs_dim]`: the first of the next episode where one ended.
    pub obs: Vec<f32>,
    /// Rewards `[E]`.
    pub reward: Vec<f32>,
    /// Whether each transition ended in a terminal state `[E]`.
    pub terminated: Vec<bool>,
    /// Whether each episode was cut off `[E]`.
    pub truncated: Vec<bool>,
    /// The transitions' true next observations `[E * obs_dim]`: `obs` except where an episode ended.
    pub final_obs: Vec<f32>,
    /// [`Env::is_success`] after each transition, before a reset `[E]`; after [`VecEnv::reset`], that of the first state.
    pub success: Vec<Option<bool>>,
}

impl StepBuffers {
    /// Zeroed buffers for `len` environments.
    pub fn new(len: usize, obs_dim: usize) -> Self {
        let mut buffers = Self::default();
        buffers.resize(len, obs_dim);
        buffers
    }

    /// Whether each transition ended its episode, for whichever reason `[E]`.
    pub fn ended(&self) -> impl Iterator<Item = bool> + '_ {
        let flags = self.terminated.iter().zip(&self.truncated);
        flags.map(|(terminated, truncated)| *terminated || *truncated)
    }

    fn resize(&mut self, len: usize, obs_dim: usize) {
        self.obs.resize(len * obs_dim, 0.0);
        self.reward.resize(len, 0.0);
        self.terminated.resize(len, false);
        self.truncated.resize(len, false);
        self.final_obs.resize(len * obs_dim, 0.0);
        self.success.resize(len, None);
    }

    /// Copies `rows` to the environments from index `first` on.
    fn copy_rows(&mut self, first: usize, obs_dim: usize, rows: &Self) {
        let envs = first..first + rows.reward.len();
        let obs = envs.start * obs_dim..envs.end * obs_dim;
        self.obs[obs.clone()].copy_from_slice(&rows.obs);
        self.final_obs[obs].copy_from_slice(&rows.final_obs);
        self.reward[envs.clone()].copy_from_slice(&rows.reward);
        self.terminated[envs.clone()].copy_from_slice(&rows.terminated);
        self.truncated[envs.clone()].copy_from_slice(&rows.truncated);
        self.success[envs].copy_from_slice(&rows.success);
    }
}

/// A thread that steps one shard whenever it is handed over.
struct Worker {
    /// The environments of its shard.
    envs: Range<usize>,
    jobs: Option<SyncSender<(Command, Shard)>>,
    done: Receiver<Shard>,
    thread: Option<JoinHandle<()>>,
}

impl Worker {
    fn spawn(shard: &Shard) -> Result<Self, EnvError> {
        let envs = shard.first()..shard.end();
        let (jobs, job_queue) = sync_channel::<(Command, Shard)>(1);
        let (finished, done) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name(format!("envs {envs:?}"))
            .spawn(move || {
                while let Ok((command, mut shard)) = receive(&job_queue) {
                    shard.run(command);
                    if finished.send(shard).is_err() {
                        return;
                    }
                }
            })
            .map_err(|error| EnvError::BadVector {
                reason: format!("a thread does not start ({error}); use fewer threads"),
            })?;
        Ok(Self {
            envs,
            jobs: Some(jobs),
            done,
            thread: Some(thread),
        })
    }

    /// Hands the shard over. A thread that died does not take it, which [`Worker::finish`] reports.
    fn start(&self, command: Command, shard: &mut Shard) {
        if let Some(jobs) = &self.jobs {
            let _ = jobs.send((command, std::mem::take(shard)));
        }
    }

    /// Waits for the shard.
    fn finish(&self, id: &str) -> Result<Shard, EnvError> {
        receive(&self.done).map_err(|_| EnvError::WorkerLost {
            id: id.to_owned(),
            first: self.envs.start,
            end: self.envs.end,
        })
    }
}

/// How long a thread polls before it sleeps: longer than the gap between two steps of a rollout, because
/// waking a sleeping thread takes about as long as one environment step; short beside a learner's update.
const POLL: Duration = Duration::from_micros(20);

/// The next message, polled for at first.
fn receive<T>(queue: &Receiver<T>) -> Result<T, RecvError> {
    let start = Instant::now();
    while start.elapsed() < POLL {
        match queue.try_recv() {
            Ok(message) => return Ok(message),
            Err(TryRecvError::Disconnected) => return Err(RecvError),
            Err(TryRecvError::Empty) => std::hint::spin_loop(),
        }
    }
    queue.recv()
}

impl Drop for Worker {
    fn drop(&mut self) {
        self.jobs = None;
        if let Some(thread) = self.thread.take() {
            // a panic was reported when it happened, as WorkerLost
            let _ = thread.join();
        }
    }
}

/// `E` environments of one kind, stepped together; same-step autoreset.
///
/// When an episode ends, the environment is reset within the same step: `obs` is then the first
/// observation of the next episode and `final_obs` the last of the old one. Each environment draws from
/// its own stream, forked from the seed by its index, so results depend on neither the number of threads
/// nor their timing. The calling thread steps the first shard, so `threads = 1` starts no thread.
pub struct VecEnv {
    spec: EnvSpec,
    len: usize,
    shards: Vec<Shard>,
    workers: Vec<Worker>,
    obs: Vec<f32>,
}

impl std::fmt::Debug for VecEnv {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VecEnv")
            .field("id", &self.spec.id)
            .field("len", &self.len)
            .field("threads", &self.threads())
            .finish_non_exhaustive()
    }
}

impl VecEnv {
    /// Builds `len` environments with `make` (called with each index) for `threads` threads, of which at
    /// most `len` are used. Handing a shard over takes a few microseconds: for tasks that step faster than
    /// that (the embedded ones), one thread is the fastest.
    ///
    /// # Errors
    /// What `make` returns; [`EnvError::BadVector`] without environments or threads, or if the specs differ.
    pub fn new(
        mut make: impl FnMut(usize) -> Result<Box<dyn Env>, EnvError>,
        len: usize,
        threads: usize,
        seed: u64,
    ) -> Result<Self, EnvError> {
        if len == 0 || threads == 0 {
            return Err(EnvError::BadVector {
                reason: format!(
                    "{len} environments and {threads} threads; at least one of each is needed"
                ),
            });
        }
        let envs = (0..len).map(&mut make).collect::<Result<Vec<_>, _>>()?;
        let spec = common_spec(&envs)?;
        let shards = split(envs, threads.min(len), &Stream::new(seed, "envs"));
        let workers = shards[1..]
            .iter()
            .map(Worker::spawn)
            .collect::<Result<_, _>>()?;
        let obs = vec![0.0; len * spec.obs_dim];
        Ok(Self {
            spec,
            len,
            shards,
            workers,
            obs,
        })
    }

    /// The spec that all environments share.
    pub fn spec(&self) -> &EnvSpec {
        &self.spec
    }

    /// The number of environments.
    #[expect(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(&self) -> usize {
        self.len
    }

    /// The number of threads, the calling one included.
    pub fn threads(&self) -> usize {
        self.shards.len()
    }

    /// Buffers of the right size.
    pub fn buffers(&self) -> StepBuffers {
        StepBuffers::new(self.len, self.spec.obs_dim)
    }

    /// The observations that [`VecEnv::reset`] or [`VecEnv::step`] last returned `[E * obs_dim]`; part of
    /// the saved state, so that a resumed run can act.
    pub fn obs(&self) -> &[f32] {
        &self.obs
    }

    /// The environment `index`, between steps.
    pub fn env_mut(&mut self, index: usize) -> Option<&mut dyn Env> {
        self.shards
            .iter_mut()
            .find_map(|shard| shard.env_mut(index))
    }

    /// Starts an episode in each environment; rewards and flags in `out` become zero.
    ///
    /// # Errors
    /// That of the environment with the smallest index; [`EnvError::NonFinite`] for a bad observation.
    pub fn reset(&mut self, out: &mut StepBuffers) -> Result<(), EnvError> {
        self.run(Command::Reset, out)
    }

    /// Takes one action in each environment: `actions [E * act_dim]` in the units of the spec's bounds.
    ///
    /// # Errors
    /// [`EnvError::BadLength`]; [`EnvError::NonFinite`] for a bad action, observation or reward; else that
    /// of the environment with the smallest index. After an error, load a state or build the vector again.
    pub fn step(&mut self, actions: &[f32], out: &mut StepBuffers) -> Result<(), EnvError> {
        self.spec
            .check_len("actions", self.len * self.spec.act_dim, actions.len())?;
        for shard in &mut self.shards {
            shard.set_actions(actions, self.spec.act_dim);
        }
        self.run(Command::Step, out)
    }

    /// Everything that a bit-exact continuation needs: environments, streams, current observations.
    pub fn save_state(&self) -> Vec<u8> {
        let mut writer = StateWriter::new().u64(self.len as u64).f32s(&self.obs);
        for shard in &self.shards {
            writer = shard.save(writer);
        }
        writer.finish()
    }

    /// Continues from what [`VecEnv::save_state`] wrote, under any number of threads.
    ///
    /// # Errors
    /// [`EnvError::BadState`]; the environments before the bad one are then already replaced.
    pub fn load_state(&mut self, state: &[u8]) -> Result<(), EnvError> {
        let id = self.spec.id.clone();
        let mut reader = StateReader::new(&id, state);
        let len = reader.u64()?;
        if len != self.len as u64 {
            return Err(reader.bad(format!("{len} environments saved, {} here", self.len)));
        }
        let mut obs = vec![0.0; self.obs.len()];
        reader.f32s(&mut obs)?;
        for shard in &mut self.shards {
            shard.load(&mut reader)?;
        }
        reader.finish()?;
        self.obs = obs;
        Ok(())
    }

    fn run(&mut self, command: Command, out: &mut StepBuffers) -> Result<(), EnvError> {
        let [first, rest @ ..] = self.shards.as_mut_slice() else {
            return Ok(());
        };
        for (worker, shard) in self.workers.iter().zip(rest.iter_mut()) {
            worker.start(command, shard);
        }
        first.run(command);
        let mut finished = Ok(());
        for (worker, shard) in self.workers.iter().zip(rest) {
            match worker.finish(&self.spec.id) {
                Ok(done) => *shard = done,
                Err(lost) => finished = finished.and(Err(lost)),
            }
        }
        finished?;
        self.collect(out)
    }

    fn collect(&mut self, out: &mut StepBuffers) -> Result<(), EnvError> {
        out.resize(self.len, self.spec.obs_dim);
        for shard in &mut self.shards {
            out.copy_rows(shard.first(), self.spec.obs_dim, shard.results()?);
        }
        self.obs.copy_from_slice(&out.obs);
        Ok(())
    }
}

fn common_spec(envs: &[Box<dyn Env>]) -> Result<EnvSpec, EnvError> {
    let spec = envs[0].spec().clone();
    match envs.iter().position(|env| *env.spec() != spec) {
        None => Ok(spec),
        Some(index) => Err(EnvError::BadVector {
            reason: format!(
                "environment {index} is {} with other dimensions, bounds or limits than environment 0 ({}); \
                 make all of the same kind",
                envs[index].spec().id,
                spec.id
            ),
        }),
    }
}

/// Cuts the environments into `count` contiguous shards whose sizes differ by at most one.
fn split(envs: Vec<Box<dyn Env>>, count: usize, streams: &Stream) -> Vec<Shard> {
    let len = envs.len();
    let mut envs = envs.into_iter().enumerate();
    (0..count)
        .map(|shard| {
            let end = (shard + 1) * len / count;
            let first = shard * len / count;
            let members = envs.by_ref().take(end - first);
            Shard::new(
                first,
                members
                    .map(|(index, env)| (env, streams.fork(&index.to_string())))
                    .collect(),
            )
        })
        .collect()
}
