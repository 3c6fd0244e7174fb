//! The trait between the training loop and an algorithm.

use std::borrow::Cow;
use std::collections::BTreeMap;

use advect_envs::EnvSpec;
use advect_kernels::scalars::{self, Scalar};
use advect_rng::Stream;
use candle_core::{Result, Tensor};

use crate::batch::Batch;
use crate::demonstrations::Demonstrations;
use crate::error::TrainError;
use crate::graphs::Repeats;
use crate::settings::LoopSettings;
use crate::state::{StateDict, StateError};

/// What an action is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActMode {
    /// Collecting data: with the algorithm's exploration, from its training streams.
    Explore,
    /// Measuring the policy: without exploration noise, from the evaluation stream only.
    Evaluate,
}

/// Named scalars in the order of their names: `critic/loss`, `policy/loss`, `temperature/alpha`, ...
///
/// Every value must be finite: the loop stops a run at the first one that is not. Leave a metric out where it does
/// not exist.
///
/// Scalars of a CUDA device are not waited for: until [`Metrics::settle`] they are in no other method.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    values: BTreeMap<Cow<'static, str>, f64>,
    unread: Vec<(Label, Tensor)>,
}

/// A metric's name, and what its scalar is multiplied by when it is read.
#[derive(Debug, Clone)]
pub struct Label {
    name: Cow<'static, str>,
    factor: f64,
}

impl From<Cow<'static, str>> for Label {
    fn from(name: Cow<'static, str>) -> Self {
        Self { name, factor: 1.0 }
    }
}

/// What was read is the same, and nothing is left to read.
impl PartialEq for Metrics {
    fn eq(&self, other: &Self) -> bool {
        self.values == other.values && self.unread.is_empty() && other.unread.is_empty()
    }
}

impl Metrics {
    /// No metrics.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets one metric.
    pub fn insert(&mut self, name: impl Into<Cow<'static, str>>, value: f64) {
        self.values.insert(name.into(), value);
    }

    /// Sets one metric to a scalar tensor's value, without waiting for a CUDA device.
    ///
    /// # Errors
    /// If the tensor is no scalar.
    pub fn insert_tensor(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        value: &Tensor,
    ) -> Result<()> {
        match value.device().is_cuda() {
            true => self
                .unread
                .push((name.into().into(), value.detach().reshape(())?)),
            false => self.insert(name, scalars::read(value)?),
        }
        Ok(())
    }

    /// Sets one metric to the mean of a contiguous tensor, without waiting for a CUDA device.
    ///
    /// # Errors
    /// If the tensor is empty.
    pub fn insert_mean(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        values: &Tensor,
    ) -> Result<()> {
        match values.device().is_cuda() {
            true => self.unread.push((name.into().into(), values.detach())),
            false => self.insert(name, scalars::read(&values.mean_all()?)?),
        }
        Ok(())
    }

    /// Sets one metric to what a scalar is now, without waiting for a CUDA device.
    ///
    /// # Errors
    /// If the device fails.
    pub fn insert_scalar(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        value: &Scalar,
    ) -> Result<()> {
        self.insert_multiple(name, value, 1.0)
    }

    /// Sets one metric to a multiple of what a scalar is now, without waiting for a CUDA device.
    ///
    /// # Errors
    /// If the device fails.
    pub fn insert_multiple(
        &mut self,
        name: impl Into<Cow<'static, str>>,
        value: &Scalar,
        factor: f64,
    ) -> Result<()> {
        let name = name.into();
        match value {
            Scalar::Host(value) => self.insert(name, factor * value),
            Scalar::Device(value) => {
                let now = value.copy()?.reshape(())?;
                self.unread.push((Label { name, factor }, now));
            }
        }
        Ok(())
    }

    /// Reads what still lies on a device; waits for it.
    ///
    /// # Errors
    /// If the device fails.
    pub fn settle(&mut self) -> Result<()> {
        let values = scalars::read_all(&self.unread())?;
        for (label, value) in self.labels_unread().into_iter().zip(values) {
            self.insert_read(label, value);
        }
        Ok(())
    }

    /// Sets the metric of a scalar that was read.
    pub(crate) fn insert_read(&mut self, Label { name, factor }: Label, value: f64) {
        self.insert(name, factor * value);
    }

    /// What is to be read, in the order of [`Metrics::labels_unread`].
    pub(crate) fn unread(&self) -> Vec<&Tensor> {
        self.unread.iter().map(|(_, value)| value).collect()
    }

    /// Forgets the tensors and keeps their labels.
    pub(crate) fn labels_unread(&mut self) -> Vec<Label> {
        let unread = std::mem::take(&mut self.unread);
        unread.into_iter().map(|(label, _)| label).collect()
    }

    /// The metric of that name.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.values.get(name).copied()
    }

    /// Sets all metrics of `other`.
    pub fn extend(&mut self, other: Self) {
        self.values.extend(other.values);
        self.unread.extend(other.unread);
    }

    /// Names and values, in the order of the names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, f64)> {
        self.values
            .iter()
            .map(|(name, value)| (name.as_ref(), *value))
    }

    /// Number of metrics.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    /// The first metric that is NaN or infinite.
    pub fn first_non_finite(&self) -> Option<(&str, f64)> {
        self.iter().find(|(_, value)| !value.is_finite())
    }
}

impl<const N: usize> From<[(&'static str, f64); N]> for Metrics {
    fn from(pairs: [(&'static str, f64); N]) -> Self {
        let values = pairs
            .into_iter()
            .map(|(name, value)| (Cow::Borrowed(name), value))
            .collect();
        Self {
            values,
            unread: Vec::new(),
        }
    }
}

/// An algorithm: how it acts, how it learns, and everything that it is made of.
pub trait Agent: Send {
    /// The algorithm's name, as the command line knows it.
    fn name(&self) -> &'static str;

    /// What the training loop has to know.
    fn loop_settings(&self) -> LoopSettings;

    /// Whether batches may hold frames as bytes, see [`Batch`]; else they are made numbers before [`Agent::update`].
    fn takes_frames(&self) -> bool {
        false
    }

    /// Reads what training takes from files (demonstrations, pretrained weights), before the first step; `fresh` unless a checkpoint is
    /// loaded afterwards. Returns the demonstrations of [`Data::Demonstrations`](crate::Data::Demonstrations). Whoever only acts does
    /// not call it.
    ///
    /// # Errors
    /// If a file is missing or does not fit the environment.
    fn prepare(
        &mut self,
        _env: &EnvSpec,
        _fresh: bool,
    ) -> std::result::Result<Option<Demonstrations>, TrainError> {
        Ok(None)
    }

    /// Learns from these demonstrations where [`Agent::prepare`] would read a file beside the environment; nothing for an algorithm without.
    ///
    /// # Errors
    /// [`TrainError::Invalid`] if they do not suffice.
    fn demonstrate(&mut self, _: Demonstrations) -> std::result::Result<(), TrainError> {
        Ok(())
    }

    /// Actions for `obs [n, o]`: `[n, d]` in units in which the environment's box is `[-1, 1]^d`; they may lie outside
    /// (see [`LoopSettings::clip_actions`]).
    ///
    /// With [`ActMode::Evaluate`] nothing that [`Agent::save`] writes may change.
    ///
    /// # Errors
    /// What a tensor operation reports.
    fn act(&mut self, obs: &Tensor, mode: ActMode) -> Result<Tensor>;

    /// Sees the observations `obs [n, o]` that the training loop is about to act on (by chance in the warm-up), for an agent that keeps statistics of them. Nobody else
    /// calls it: whoever only acts leaves the statistics as they are.
    ///
    /// # Errors
    /// What a tensor operation reports.
    fn observe(&mut self, _obs: &Tensor) -> Result<()> {
        Ok(())
    }

    /// Gives the stream that [`ActMode::Evaluate`] draws from until the next call; it is not part of the saved state.
    fn begin_evaluation(&mut self, stream: Stream);

    /// One update on one minibatch or one rollout, as [`Agent::loop_settings`] says; returns the scalars that a person will plot.
    ///
    /// # Errors
    /// What a tensor operation reports.
    fn update(&mut self, batch: &Batch) -> Result<Metrics>;

    /// What an update moves on the host, if it launches the same work each time and never waits for a CUDA device: such an update is
    /// recorded as a graph. Numbers of the host that reach the device must then be the same in every update of a kind, or come from
    /// the streams; tensors that outlive an update must be changed in place. By default it is not.
    fn repeats(&mut self) -> Option<Repeats<'_>> {
        None
    }

    /// The streams that [`ActMode::Explore`] draws from, if it launches the same work each time as [`Agent::repeats`] says of updates; by
    /// default it does not.
    fn explores_with(&mut self) -> Option<Vec<&mut Stream>> {
        None
    }

    /// Writes everything that a bit-exact continuation needs: parameters, optimisers, streams, counters.
    ///
    /// # Errors
    /// If a device cannot be read.
    fn save(&self, out: &mut StateDict) -> std::result::Result<(), StateError>;

    /// Continues from what [`Agent::save`] wrote.
    ///
    /// # Errors
    /// If an entry is missing or has another shape or type.
    fn load(&mut self, from: &StateDict) -> std::result::Result<(), StateError>;

    /// A hash of the bits of all parameters (targets included).
    ///
    /// # Errors
    /// If a device cannot be read.
    fn parameter_hash(&self) -> Result<u64>;

    /// The complete configuration, defaults included, as it stands in `config.toml`.
    fn config_toml(&self) -> toml::Table;
}
