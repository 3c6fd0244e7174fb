//! The agent of the training loop: a learner on the environment's rewards.

use advect_rl::{ActMode, Agent, Batch, LoopSettings, Metrics, Repeats, StateDict, StateError};
use advect_rng::Stream;
use candle_core::{Device, Result, Tensor};

use super::config::SacConfig;
use super::learner::Learner;
use crate::dims::Dims;
use crate::error::AlgoError;

/// Soft actor-critic with a learned temperature.
#[derive(Debug)]
pub struct SacAgent {
    table: toml::Table,
    settings: LoopSettings,
    learner: Learner,
}

impl SacAgent {
    /// An agent with parameters drawn from `seed`.
    ///
    /// # Errors
    /// If the configuration makes no sense.
    pub fn new(
        config: SacConfig,
        dims: Dims,
        seed: u64,
        device: &Device,
    ) -> std::result::Result<Self, AlgoError> {
        config.validate()?;
        Ok(Self {
            table: crate::registry::to_table("sac", &config)?,
            settings: config.off_policy.loop_settings(),
            learner: Learner::new("sac", &config, dims, seed, device)?,
        })
    }
}

impl Agent for SacAgent {
    fn name(&self) -> &'static str {
        "sac"
    }

    fn loop_settings(&self) -> LoopSettings {
        self.settings
    }

    fn act(&mut self, obs: &Tensor, mode: ActMode) -> Result<Tensor> {
        self.learner.act(obs, mode)
    }

    /// SAC's evaluation action is `tanh mu`: it draws nothing.
    fn begin_evaluation(&mut self, _: Stream) {}

    fn update(&mut self, batch: &Batch) -> Result<Metrics> {
        self.learner.update(batch, &mut |_| Ok(None))
    }

    fn repeats(&mut self) -> Option<Repeats<'_>> {
        Some(self.learner.repeats())
    }

    fn explores_with(&mut self) -> Option<Vec<&mut Stream>> {
        Some(vec![self.learner.explores_with()])
    }

    fn save(&self, out: &mut StateDict) -> std::result::Result<(), StateError> {
        self.learner.save(out)
    }

    fn load(&mut self, from: &StateDict) -> std::result::Result<(), StateError> {
        self.learner.load(from)
    }

    fn parameter_hash(&self) -> Result<u64> {
        crate::hash::combined(self.learner.buffers())
    }

    fn config_toml(&self) -> toml::Table {
        self.table.clone()
    }
}
