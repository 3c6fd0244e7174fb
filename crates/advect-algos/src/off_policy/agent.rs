//! The agent around an algorithm's equations: naming, acting modes, counting, saving.

use std::fmt::Debug;

use advect_kernels::Params;
use advect_rl::{
    ActMode, Agent, Batch, Demonstrations, EnvSpec, LoopSettings, Metrics, Repeats, StateDict,
    StateError, TrainError, TwinCritic,
};
use advect_rng::Stream;
use candle_core::{Result, Tensor};
use serde::Serialize;

use super::ActorCritic;
use crate::error::AlgoError;
use crate::normals::Normals;

/// The equations of an off-policy algorithm: how it acts and how one update moves its parts.
pub trait OffPolicyAlgorithm: Debug + Send {
    /// Reads what training takes from files, see [`Agent::prepare`]; nothing by default.
    ///
    /// # Errors
    /// If a file is missing or does not fit the environment.
    fn prepare(
        &mut self,
        _parts: &mut ActorCritic,
        _env: &EnvSpec,
        _fresh: bool,
    ) -> std::result::Result<(), TrainError> {
        Ok(())
    }

    /// Actions `[n, d]` at `obs` `[n, o]`, with noise from `normals` only.
    ///
    /// # Errors
    /// On a shape mismatch.
    fn act(
        &self,
        parts: &ActorCritic,
        obs: &Tensor,
        mode: ActMode,
        normals: &mut Normals<'_>,
    ) -> Result<Tensor>;

    /// One update on what the loop gives: critics, policy, averages.
    ///
    /// # Errors
    /// On a shape mismatch, or if a gradient is missing.
    fn update(
        &mut self,
        parts: &mut ActorCritic,
        batch: &Batch,
        metrics: &mut Metrics,
    ) -> Result<()>;

    /// The kind of the next update, after `updates` others, if updates of one kind launch the same work, see [`Agent::repeats`], and
    /// exploration does too; nothing by default.
    fn kind(&self, _updates: u64) -> Option<u64> {
        None
    }

    /// Writes what it remembers beside its parts; nothing by default.
    ///
    /// # Errors
    /// If a device cannot be read.
    fn save(&self, _out: &mut StateDict) -> std::result::Result<(), StateError> {
        Ok(())
    }

    /// Continues from what [`OffPolicyAlgorithm::save`] wrote.
    ///
    /// # Errors
    /// If an entry is missing or has another shape or type.
    fn load(&mut self, _from: &StateDict) -> std::result::Result<(), StateError> {
        Ok(())
    }

    /// See [`Agent::takes_frames`].
    fn takes_frames(&self) -> bool {
        false
    }

    /// Parameters beside those of its parts, targets included; none by default.
    fn buffers(&self) -> Vec<&Params> {
        Vec::new()
    }

    /// Learned numbers beside the networks, such as a temperature; none by default.
    ///
    /// # Errors
    /// If the device cannot be read.
    fn numbers(&self) -> Result<Vec<f64>> {
        Ok(Vec::new())
    }
}

/// An off-policy algorithm as the training loop sees it.
#[derive(Debug)]
pub struct OffPolicyAgent<A> {
    name: &'static str,
    table: toml::Table,
    settings: LoopSettings,
    parts: ActorCritic,
    algorithm: A,
    evaluation: Stream,
}

impl<A: OffPolicyAlgorithm> OffPolicyAgent<A> {
    /// The agent of a checked configuration; `parts` are at their start.
    pub(crate) fn new(
        name: &'static str,
        config: &impl Serialize,
        settings: LoopSettings,
        parts: ActorCritic,
        algorithm: A,
    ) -> std::result::Result<Self, AlgoError> {
        Ok(Self {
            table: crate::registry::to_table(name, config)?,
            evaluation: parts.streams.explore.fork("evaluation"),
            name,
            settings,
            parts,
            algorithm,
        })
    }

    /// Parameters of the policy that learns.
    pub fn policy(&self) -> &Params {
        self.parts.policy.online.params()
    }

    /// Their moving average; RLDT's reference.
    pub fn average_policy(&self) -> &Params {
        self.parts.policy.average()
    }

    /// The critics.
    pub fn critic(&self) -> &TwinCritic {
        &self.parts.critic
    }

    /// The algorithm's own state and settings.
    pub fn algorithm(&self) -> &A {
        &self.algorithm
    }
}

impl<A: OffPolicyAlgorithm> Agent for OffPolicyAgent<A> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn loop_settings(&self) -> LoopSettings {
        self.settings
    }

    fn takes_frames(&self) -> bool {
        self.algorithm.takes_frames()
    }

    fn prepare(
        &mut self,
        env: &EnvSpec,
        fresh: bool,
    ) -> std::result::Result<Option<Demonstrations>, TrainError> {
        self.algorithm.prepare(&mut self.parts, env, fresh)?;
        Ok(None)
    }

    fn act(&mut self, obs: &Tensor, mode: ActMode) -> Result<Tensor> {
        let mut explore = self.parts.streams.explore.clone();
        let mut normals = match mode {
            ActMode::Explore => Normals::Stream(&mut explore),
            ActMode::Evaluate => Normals::per_observation(&self.evaluation, obs)?,
        };
        let action = self.algorithm.act(&self.parts, obs, mode, &mut normals)?;
        self.parts.streams.explore = explore;
        Ok(action)
    }

    fn begin_evaluation(&mut self, stream: Stream) {
        self.evaluation = stream;
    }

    fn update(&mut self, batch: &Batch) -> Result<Metrics> {
        let mut metrics = Metrics::new();
        self.algorithm
            .update(&mut self.parts, batch, &mut metrics)?;
        self.parts.updates += 1;
        Ok(metrics)
    }

    fn repeats(&mut self) -> Option<Repeats<'_>> {
        let kind = self.algorithm.kind(self.parts.updates)?;
        Some(Repeats {
            kind,
            streams: self.parts.streams.of_updates(),
            updates: &mut self.parts.updates,
        })
    }

    fn explores_with(&mut self) -> Option<Vec<&mut Stream>> {
        let repeats = self.algorithm.kind(self.parts.updates).is_some();
        repeats.then(|| vec![&mut self.parts.streams.explore])
    }

    fn save(&self, out: &mut StateDict) -> std::result::Result<(), StateError> {
        self.parts.save(out)?;
        self.algorithm.save(out)
    }

    fn load(&mut self, from: &StateDict) -> std::result::Result<(), StateError> {
        self.parts.load(from)?;
        self.algorithm.load(from)
    }

    fn parameter_hash(&self) -> Result<u64> {
        let networks = crate::hash::combined(self.parts.buffers().chain(self.algorithm.buffers()))?;
        let numbers = self.algorithm.numbers()?;
        Ok(crate::hash::with_numbers(networks, &numbers))
    }

    fn config_toml(&self) -> toml::Table {
        self.table.clone()
    }
}
