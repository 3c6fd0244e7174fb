//! Agents that learn from rollouts: every row once, in order, to the same bits after a stop anywhere.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use advect_rl::metrics::METRICS_FILE;
use advect_rl::recorded::recorded;
use advect_rl::{
    ActMode, Agent, Batch, Data, LoopSettings, Metrics, Outcome, RunConfig, RunDir, StateDict,
    StateError, TrainError, Trainer,
};
use advect_rng::Stream;
use candle_core::{Device, Result, Tensor};
use common::{ENV, Poison, StopAt, TinyAgent, agent, config, factory};
use tempfile::TempDir;

const ENVS: usize = 3;
const STEPS: usize = 16;

fn settings(clip_actions: bool) -> LoopSettings {
    LoopSettings {
        num_envs: ENVS,
        clip_actions,
        data: Data::Rollout {
            steps: STEPS,
            keep: 1,
        },
    }
}

/// What an agent was asked and given.
#[derive(Default)]
struct Seen {
    /// Observation and action of every row of every exploring step.
    acted: Vec<(Vec<f32>, Vec<f32>)>,
    batches: Vec<Batch>,
}

/// Passes everything on and keeps a copy; actions are scaled.
struct Recording {
    inner: TinyAgent,
    seen: Arc<Mutex<Seen>>,
    scale: f64,
}

impl Recording {
    fn new(inner: TinyAgent, scale: f64) -> (Self, Arc<Mutex<Seen>>) {
        let seen = Arc::new(Mutex::new(Seen::default()));
        let recording = Self {
            inner,
            seen: seen.clone(),
            scale,
        };
        (recording, seen)
    }
}

impl Agent for Recording {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn loop_settings(&self) -> LoopSettings {
        self.inner.loop_settings()
    }

    fn act(&mut self, obs: &Tensor, mode: ActMode) -> Result<Tensor> {
        let act = (self.inner.act(obs, mode)? * self.scale)?;
        if mode == ActMode::Explore {
            let rows = obs.to_vec2()?.into_iter().zip(act.to_vec2()?);
            self.seen.lock().unwrap().acted.extend(rows);
        }
        Ok(act)
    }

    fn begin_evaluation(&mut self, stream: Stream) {
        self.inner.begin_evaluation(stream);
    }

    fn update(&mut self, batch: &Batch) -> Result<Metrics> {
        self.seen.lock().unwrap().batches.push(batch.clone());
        self.inner.update(batch)
    }

    fn save(&self, out: &mut StateDict) -> std::result::Result<(), StateError> {
        self.inner.save(out)
    }

    fn load(&mut self, from: &StateDict) -> std::result::Result<(), StateError> {
        self.inner.load(from)
    }

    fn parameter_hash(&self) -> Result<u64> {
        self.inner.parameter_hash()
    }

    fn config_toml(&self) -> toml::Table {
        self.inner.config_toml()
    }
}

fn with_settings(env: &str, settings: LoopSettings) -> TinyAgent {
    let mut agent = agent(env);
    agent.settings = settings;
    agent
}

fn rollout_agent(env: &str) -> TinyAgent {
    with_settings(env, settings(false))
}

fn run_with(dir: &Path, agent: Box<dyn Agent>, config: RunConfig) -> Outcome {
    let env = config.env.clone();
    let run = RunDir::create(dir, config).unwrap();
    let mut trainer = Trainer::new(run, agent, factory(&env), Device::Cpu).unwrap();
    trainer.run(&AtomicBool::new(false), &mut ()).unwrap()
}

#[test]
fn an_update_sees_every_row_of_its_rollout_in_time_order() {
    let dir = TempDir::new().unwrap();
    let (agent, seen) = Recording::new(rollout_agent(ENV), 1.0);
    let outcome = run_with(dir.path(), Box::new(agent), config(ENV));
    // 234 vector steps: 14 rollouts and 10 steps of the next
    assert_eq!((outcome.env_steps, outcome.updates), (702, 14));
    let seen = seen.lock().unwrap();
    assert_eq!((seen.acted.len(), seen.batches.len()), (702, 14));
    let rows = STEPS * ENVS;
    for (number, batch) in seen.batches.iter().enumerate() {
        assert_eq!(batch.num_envs, ENVS);
        let (obs, act) = (batch.obs.to_vec2().unwrap(), batch.act.to_vec2().unwrap());
        let expected = &seen.acted[number * rows..(number + 1) * rows];
        let found: Vec<(Vec<f32>, Vec<f32>)> = obs.into_iter().zip(act).collect();
        assert_eq!(found, expected, "rollout {number}");
        assert_eq!(
            batch.terminated.to_vec1::<f32>().unwrap(),
            [0.0; STEPS * ENVS]
        );
        check_ends(batch, number, &seen.acted);
    }
}

/// The pendulum's episodes are cut off every 200 steps; elsewhere a next observation is the one that is acted on next.
fn check_ends(batch: &Batch, number: usize, acted: &[(Vec<f32>, Vec<f32>)]) {
    let truncated = batch.truncated.to_vec1::<f32>().unwrap();
    let next_obs = batch.next_obs.to_vec2::<f32>().unwrap();
    for (i, (truncated, next_obs)) in truncated.iter().zip(&next_obs).enumerate() {
        let row = number * STEPS * ENVS + i;
        let is_last = (row / ENVS + 1).is_multiple_of(200);
        assert_eq!(*truncated == 1.0, is_last, "row {row}");
        assert_eq!(*next_obs == acted[row + ENVS].0, !is_last, "row {row}");
    }
}

/// An agent that gets the last three rollouts.
fn keeping_agent() -> TinyAgent {
    let keeping = LoopSettings {
        data: Data::Rollout {
            steps: STEPS,
            keep: 3,
        },
        ..settings(false)
    };
    with_settings(ENV, keeping)
}

#[test]
fn an_update_sees_the_rollouts_that_are_kept_in_time_order() {
    let dir = TempDir::new().unwrap();
    let (agent, seen) = Recording::new(keeping_agent(), 1.0);
    run_with(dir.path(), Box::new(agent), config(ENV));
    let seen = seen.lock().unwrap();
    let rows = STEPS * ENVS;
    for (number, batch) in seen.batches.iter().enumerate() {
        let first = (number + 1).saturating_sub(3) * rows;
        let expected = &seen.acted[first..(number + 1) * rows];
        let (obs, act) = (batch.obs.to_vec2().unwrap(), batch.act.to_vec2().unwrap());
        let found: Vec<(Vec<f32>, Vec<f32>)> = obs.into_iter().zip(act).collect();
        assert_eq!(found, expected, "rollout {number}");
        let numbers: Vec<u64> = (first as u64..((number + 1) * rows) as u64).collect();
        assert_eq!(batch.numbers, numbers);
    }
}

#[test]
fn runs_stopped_inside_a_rollout_are_the_straight_run() {
    stopped_runs_are_straight(|| rollout_agent(ENV));
}

#[test]
fn runs_that_keep_rollouts_and_stop_inside_one_are_the_straight_run() {
    stopped_runs_are_straight(keeping_agent);
}

fn stopped_runs_are_straight(make: impl Fn() -> TinyAgent) {
    let dir = TempDir::new().unwrap();
    let straight = run_with(&dir.path().join("straight"), Box::new(make()), config(ENV));
    let metrics = |outcome: &Outcome| fs::read_to_string(outcome.run_dir.join(METRICS_FILE));
    // a rollout has 48 environment steps: in the first, at the end of one, inside later ones, twice in one
    for stops in [vec![3], vec![48], vec![100, 130], vec![301, 599, 602]] {
        let out = dir.path().join(format!("{stops:?}"));
        let mut run = RunDir::create(&out, config(ENV)).unwrap();
        let path = run.path().to_owned();
        for at in stops.iter().chain([&u64::MAX]) {
            let flag = AtomicBool::new(false);
            let agent = Box::new(make());
            let mut trainer = Trainer::new(run, agent, factory(ENV), Device::Cpu).unwrap();
            let mut stop = StopAt {
                at: *at,
                flag: &flag,
            };
            let outcome = trainer.run(&flag, &mut stop).unwrap();
            drop(trainer);
            run = RunDir::open(&path).unwrap();
            if outcome.stopped {
                continue;
            }
            assert_eq!(outcome.parameter_hash, straight.parameter_hash, "{stops:?}");
            assert_eq!(outcome.updates, straight.updates, "{stops:?}");
            assert_eq!(
                metrics(&outcome).unwrap(),
                metrics(&straight).unwrap(),
                "{stops:?}"
            );
        }
    }
}

#[test]
fn the_data_keep_an_action_that_the_environment_gets_clipped() {
    const PROBE: &str = "Probe-Policy-v0";
    for clip_actions in [true, false] {
        let dir = TempDir::new().unwrap();
        let inner = with_settings(PROBE, settings(clip_actions));
        let (agent, seen) = Recording::new(inner, 4.0);
        let short = RunConfig {
            steps: 48,
            ..config(PROBE)
        };
        let outcome = run_with(dir.path(), Box::new(agent), short);
        let seen = seen.lock().unwrap();
        let batch = &seen.batches[0];
        let (act, reward) = (
            batch.act.flatten_all().unwrap().to_vec1::<f32>().unwrap(),
            batch.reward.to_vec1::<f32>().unwrap(),
        );
        assert!(act.iter().any(|a| *a > 2.0) && act.iter().any(|a| *a < -2.0));
        let given = |a: f32| if clip_actions { a.clamp(-1.0, 1.0) } else { a };
        for (a, reward) in act.iter().zip(&reward) {
            assert!(
                (reward + (given(*a) - 0.5).powi(2)).abs() < 1e-5,
                "{a} {reward}"
            );
        }
        // so does a dataset of the run, in which every step is an episode
        let spec = advect_envs::make(PROBE).unwrap().spec().clone();
        let data = recorded(&outcome.run_dir, 48, &settings(clip_actions), &spec).unwrap();
        assert_eq!((data.len(), data.episodes.len()), (48, 48));
        assert_eq!(
            data.act.iter().all(|a| a.abs() <= 1.0),
            clip_actions,
            "actions of the dataset"
        );
    }
}

#[test]
fn numbers_that_are_not_finite_stop_a_run_on_rollouts() {
    for (poison, update) in [(Poison::Metric, 2), (Poison::Parameter, 2)] {
        let dir = TempDir::new().unwrap();
        let mut agent = rollout_agent(ENV);
        agent.poison = Some((poison, update));
        let run = RunDir::create(dir.path(), config(ENV)).unwrap();
        let mut trainer = Trainer::new(run, Box::new(agent), factory(ENV), Device::Cpu).unwrap();
        let error = trainer.run(&AtomicBool::new(false), &mut ()).unwrap_err();
        let TrainError::NonFinite { updates, .. } = error else {
            panic!("another error: {error}");
        };
        assert!(updates >= update, "after {updates} updates");
    }
}

#[test]
fn a_rollout_without_steps_is_refused() {
    let dir = TempDir::new().unwrap();
    for (steps, keep, what) in [(0, 1, "steps of a rollout"), (1, 0, "rollouts kept")] {
        let empty = LoopSettings {
            data: Data::Rollout { steps, keep },
            ..settings(false)
        };
        let agent = with_settings(ENV, empty);
        let run = RunDir::create(&dir.path().join(what), config(ENV)).unwrap();
        let error = Trainer::new(run, Box::new(agent), factory(ENV), Device::Cpu).err();
        let message = error.unwrap().to_string();
        assert!(message.contains(what), "{message}");
    }
}
