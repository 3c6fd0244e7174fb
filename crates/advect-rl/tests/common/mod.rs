//! A small agent, a full disk and helpers for the tests of runs.
#![allow(dead_code, reason = "each test binary uses its own part")]
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use std::fs;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use advect_envs::EnvSpec;
use advect_kernels::init::{Init, draw};
use advect_kernels::optim::AdamConfig;
use advect_kernels::{Activation, Params, Precision};
use advect_rl::critic::{td_loss, td_target};
use advect_rl::storage::{Disk, Sink, Storage};
use advect_rl::{
    ActMode, Agent, Batch, CriticNet, Data, EnvFactory, LoopSettings, Metrics, Outcome, Progress,
    ReplaySettings, RunConfig, RunDir, StateDict, StateError, TrainError, Trainer, TwinCritic,
};
use advect_rng::Stream;
use candle_core::{Device, Result, Tensor};

/// Explores at random, learns twin critics by Q-learning on random next actions, evaluates the best of four.
pub struct TinyAgent {
    critic: TwinCritic,
    act_dim: usize,
    stream: Stream,
    evaluation: Stream,
    updates: u64,
    pub settings: LoopSettings,
    pub poison: Option<(Poison, u64)>,
}

/// What goes wrong at which update.
#[derive(Clone, Copy, PartialEq)]
pub enum Poison {
    Metric,
    Parameter,
    Action,
}

pub fn settings() -> LoopSettings {
    replay_settings(false)
}

/// Three environments with a small replay.
pub fn replay_settings(warmup_counts: bool) -> LoopSettings {
    LoopSettings {
        num_envs: 3,
        clip_actions: false,
        data: Data::Replay(ReplaySettings {
            warmup_transitions: 30,
            warmup_counts,
            updates_per_vector_step: 1,
            batch_size: 16,
            capacity: 200,
        }),
    }
}

impl TinyAgent {
    pub fn new(spec: &EnvSpec, seed: u64) -> Result<Self> {
        let net = CriticNet::new(spec.obs_dim, spec.act_dim, &[16], Activation::Mish)?;
        let mut init = Stream::new(seed, "init");
        let layout = net.layout();
        let mut values = draw(&layout, Init::FanInUniform, &mut init);
        values.extend(draw(&layout, Init::FanInUniform, &mut init));
        let online = Params::from_vec(layout, Some(2), values, &Device::Cpu)?;
        Ok(Self {
            critic: TwinCritic::new(net, online, AdamConfig::default())?,
            act_dim: spec.act_dim,
            stream: Stream::new(seed, "agent"),
            evaluation: Stream::new(seed, "unset"),
            updates: 0,
            settings: settings(),
            poison: None,
        })
    }

    fn poisoned(&self, what: Poison) -> bool {
        self.poison
            .is_some_and(|(poison, at)| poison == what && self.updates >= at)
    }

    fn best_of(&mut self, obs: &Tensor, count: usize) -> Result<Tensor> {
        let rows = obs.dim(0)?;
        let mut act = vec![0.0; rows * count * self.act_dim];
        self.evaluation.fill_uniform_range(-1.0, 1.0, &mut act);
        let candidates = Tensor::from_vec(act, (rows, count, self.act_dim), &Device::Cpu)?;
        let net = self.critic.net();
        let q = net.min_q_candidates(
            self.critic.online().tensor(),
            obs,
            &candidates,
            Precision::F32,
        )?;
        let best = q.argmax(1)?.to_vec1::<u32>()?;
        let rows = best
            .iter()
            .enumerate()
            .map(|(i, k)| candidates.get(i)?.get(*k as usize));
        Tensor::stack(&rows.collect::<Result<Vec<_>>>()?, 0)
    }

    fn random(&mut self, rows: usize) -> Result<Tensor> {
        let mut act = vec![0.0; rows * self.act_dim];
        self.stream.fill_uniform_range(-1.0, 1.0, &mut act);
        Tensor::from_vec(act, (rows, self.act_dim), &Device::Cpu)
    }
}

impl Agent for TinyAgent {
    fn name(&self) -> &'static str {
        "tiny"
    }

    fn loop_settings(&self) -> LoopSettings {
        self.settings
    }

    fn act(&mut self, obs: &Tensor, mode: ActMode) -> Result<Tensor> {
        match mode {
            ActMode::Explore if self.poisoned(Poison::Action) => {
                self.random(obs.dim(0)?)?.affine(f64::NAN, 0.0)
            }
            ActMode::Explore => self.random(obs.dim(0)?),
            ActMode::Evaluate => self.best_of(obs, 4),
        }
    }

    fn begin_evaluation(&mut self, stream: Stream) {
        self.evaluation = stream;
    }

    fn update(&mut self, batch: &Batch) -> Result<Metrics> {
        let next_act = self.random(batch.obs.dim(0)?)?;
        let value = self.critic.net().min_q(
            &self.critic.target().detached(),
            &batch.next_obs,
            &next_act,
        )?;
        let y = td_target(&batch.reward, &batch.terminated, &value, 1.0, 0.9)?;
        let q =
            self.critic
                .net()
                .q_values(self.critic.online().tensor(), &batch.obs, &batch.act)?;
        let loss = td_loss(&q, &y)?;
        let gradient = self.critic.gradient(&loss)?;
        self.critic.step(&gradient, 1e-2)?;
        self.critic.update_target(0.05)?;
        self.updates += 1;
        if self.poisoned(Poison::Parameter) {
            let mut values = self.critic.target().to_vec()?;
            values[3] = f32::INFINITY;
            self.critic.target().set_from_slice(&values)?;
        }
        let loss = f64::from(loss.to_scalar::<f32>()?);
        let loss = if self.poisoned(Poison::Metric) {
            f64::NAN
        } else {
            loss
        };
        Ok(Metrics::from([("critic/loss", loss)]))
    }

    fn save(&self, out: &mut StateDict) -> std::result::Result<(), StateError> {
        self.critic.save("critic", out)?;
        out.put_stream("stream", &self.stream);
        out.put_scalar("updates", self.updates);
        Ok(())
    }

    fn load(&mut self, from: &StateDict) -> std::result::Result<(), StateError> {
        self.critic.load("critic", from)?;
        self.stream = from.stream("stream")?;
        self.updates = from.scalar("updates")?;
        Ok(())
    }

    fn parameter_hash(&self) -> Result<u64> {
        Ok(self.critic.online().hash()? ^ self.critic.target().hash()?.rotate_left(1))
    }

    fn config_toml(&self) -> toml::Table {
        toml::Table::new()
    }
}

pub const ENV: &str = "Pendulum-v1";

/// 300 environment steps on the pendulum: an episode ends in each environment after 200 of its steps in warm-up and run.
pub fn config(env: &str) -> RunConfig {
    RunConfig {
        algo: "tiny".into(),
        env: env.into(),
        seed: 7,
        steps: 700,
        threads: 1,
        log_every: 50,
        eval_every: 200,
        eval_episodes: 2,
        checkpoint_every: 100,
        ..RunConfig::default()
    }
}

pub fn factory(env: &str) -> EnvFactory {
    let env = env.to_owned();
    Box::new(move || advect_envs::make(&env))
}

pub fn agent(env: &str) -> TinyAgent {
    TinyAgent::new(advect_envs::make(env).unwrap().spec(), 7).unwrap()
}

pub fn trainer(run: RunDir) -> std::result::Result<Trainer, TrainError> {
    let env = run.config().env.clone();
    Trainer::new(run, Box::new(agent(&env)), factory(&env), Device::Cpu)
}

pub fn train(run: RunDir) -> std::result::Result<Outcome, TrainError> {
    trainer(run)?.run(&AtomicBool::new(false), &mut ())
}

/// Sets the stop flag once the run has taken `at` environment steps.
pub struct StopAt<'a> {
    pub at: u64,
    pub flag: &'a AtomicBool,
}

impl Progress for StopAt<'_> {
    fn on_step(&mut self, now: &advect_rl::Snapshot) {
        if now.env_steps >= self.at {
            self.flag.store(true, Ordering::Relaxed);
        }
    }
}

/// A disk with `left` free bytes.
#[derive(Clone)]
pub struct SmallDisk {
    pub left: Arc<AtomicU64>,
}

impl SmallDisk {
    pub fn new(left: u64) -> Self {
        Self {
            left: Arc::new(AtomicU64::new(left)),
        }
    }
}

impl Storage for SmallDisk {
    fn append(&self, path: &Path, keep: u64) -> io::Result<Box<dyn Sink>> {
        Ok(Box::new(SmallSink {
            sink: Disk.append(path, keep)?,
            left: self.left.clone(),
        }))
    }
}

struct SmallSink {
    sink: Box<dyn Sink>,
    left: Arc<AtomicU64>,
}

impl Write for SmallSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let left = self.left.load(Ordering::Relaxed);
        let count = bytes.len().min(left as usize);
        if count == 0 && !bytes.is_empty() {
            return Err(io::ErrorKind::StorageFull.into());
        }
        self.left.store(left - count as u64, Ordering::Relaxed);
        self.sink.write_all(&bytes[..count]).map(|()| count)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.sink.flush()
    }
}

impl Sink for SmallSink {
    fn sync(&mut self) -> io::Result<()> {
        self.sink.sync()
    }
}

/// What a crash at this instant would leave: a copy of the folder, without the lock.
pub fn copy_dir(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let (path, target) = (
            entry.as_ref().unwrap().path(),
            to.join(entry.unwrap().file_name()),
        );
        if path.is_dir() {
            copy_dir(&path, &target);
        } else if target.file_name().is_some_and(|name| name != ".lock") {
            fs::copy(&path, &target).unwrap();
        }
    }
}
