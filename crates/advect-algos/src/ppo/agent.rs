//! The agent: a [`Learner`] on the environment's rewards.

use std::path::Path;

use advect_rl::{
    ActMode, Agent, Batch, Demonstrations, EnvSpec, LoopSettings, Metrics, StateDict, StateError,
    TrainError,
};
use advect_rng::Stream;
use candle_core::{Device, Result, Tensor};

use super::config::PpoConfig;
use super::learner::Learner;
use super::pretrained;
use crate::dims::Dims;
use crate::error::AlgoError;

/// Proximal policy optimisation.
#[derive(Debug)]
pub struct PpoAgent {
    settings: LoopSettings,
    pretrained: String,
    table: toml::Table,
    learner: Learner,
}

impl PpoAgent {
    /// An agent with parameters drawn from `seed`.
    ///
    /// # Errors
    /// If the configuration makes no sense.
    pub fn new(
        config: PpoConfig,
        dims: Dims,
        seed: u64,
        device: &Device,
    ) -> std::result::Result<Self, AlgoError> {
        config.validate()?;
        Ok(Self {
            settings: config.loop_settings(),
            table: crate::registry::to_table("ppo", &config)?,
            learner: Learner::new("ppo", &config, dims, seed, device)?,
            pretrained: config.pretrained,
        })
    }

    /// Networks and normalisers.
    pub fn learner(&self) -> &Learner {
        &self.learner
    }
}

impl Agent for PpoAgent {
    fn name(&self) -> &'static str {
        "ppo"
    }

    fn loop_settings(&self) -> LoopSettings {
        self.settings
    }

    fn prepare(
        &mut self,
        env: &EnvSpec,
        fresh: bool,
    ) -> std::result::Result<Option<Demonstrations>, TrainError> {
        if fresh && !self.pretrained.is_empty() {
            pretrained::load(Path::new(&self.pretrained), env, &mut self.learner)?;
        }
        Ok(None)
    }

    fn act(&mut self, obs: &Tensor, mode: ActMode) -> Result<Tensor> {
        self.learner.act(obs, mode)
    }

    fn observe(&mut self, obs: &Tensor) -> Result<()> {
        self.learner.observe(obs)
    }

    /// PPO's evaluation action is the mean: it draws nothing.
    fn begin_evaluation(&mut self, _: Stream) {}

    fn update(&mut self, batch: &Batch) -> Result<Metrics> {
        let experience = self.learner.take_in(batch)?;
        let reward = batch.reward.to_vec1()?;
        self.learner
            .learn(&experience, reward, &mut |_, _| Ok(None))
    }

    fn save(&self, out: &mut StateDict) -> std::result::Result<(), StateError> {
        self.learner.save(out)
    }

    fn load(&mut self, from: &StateDict) -> std::result::Result<(), StateError> {
        self.learner.load(from)
    }

    fn parameter_hash(&self) -> Result<u64> {
        self.learner.params().hash()
    }

    fn config_toml(&self) -> toml::Table {
        self.table.clone()
    }
}
