//! What the training loop counts: episodes and the means of metrics since the last log line.

use std::collections::BTreeMap;

use advect_envs::{EnvError, EnvSpec, EpisodeStats, StepBuffers};
use advect_kernels::scalars::{self, Scalar};
use candle_core::Tensor;

use crate::agent::Metrics;
use crate::state::{StateDict, StateError};

/// Episodes whose mean return an observer is shown.
const RECENT: usize = 20;
const EPISODES_ENTRY: &str = "episodes";

/// Sum and count of a metric since the last log line.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Sum {
    total: f64,
    count: u64,
}

/// Means of metrics since they were last taken.
#[derive(Debug, Clone, Default)]
pub struct MeanMetrics {
    sums: BTreeMap<String, Sum>,
    unread: Vec<(String, Tensor)>,
}

/// What was read is the same, and nothing is left to read.
impl PartialEq for MeanMetrics {
    fn eq(&self, other: &Self) -> bool {
        self.sums == other.sums && self.unread.is_empty() && other.unread.is_empty()
    }
}

impl MeanMetrics {
    /// Counts one value.
    pub fn add(&mut self, name: &str, value: f64) {
        if !self.sums.contains_key(name) {
            self.sums.insert(name.to_owned(), Sum::default());
        }
        if let Some(sum) = self.sums.get_mut(name) {
            sum.total += value;
            sum.count += 1;
        }
    }

    /// Counts the value of a scalar tensor, without waiting for a CUDA device.
    ///
    /// # Errors
    /// If the tensor is no scalar.
    pub fn add_tensor(&mut self, name: &str, value: &Tensor) -> candle_core::Result<()> {
        match value.device().is_cuda() {
            true => self
                .unread
                .push((name.to_owned(), value.detach().reshape(())?)),
            false => self.add(name, scalars::read(value)?),
        }
        Ok(())
    }

    /// Counts a scalar, without waiting for a CUDA device.
    ///
    /// # Errors
    /// If the device fails.
    pub fn add_scalar(&mut self, name: &str, value: &Scalar) -> candle_core::Result<()> {
        match value {
            Scalar::Host(value) => self.add(name, *value),
            Scalar::Device(value) => self.add_tensor(name, value)?,
        }
        Ok(())
    }

    /// The means, and starts anew; waits for the device.
    ///
    /// # Errors
    /// If the device fails.
    pub fn take(&mut self) -> candle_core::Result<Metrics> {
        let unread = std::mem::take(&mut self.unread);
        let tensors: Vec<&Tensor> = unread.iter().map(|(_, value)| value).collect();
        let values = scalars::read_all(&tensors)?;
        for ((name, _), value) in unread.iter().zip(values) {
            self.add(name, value);
        }
        let mut metrics = Metrics::new();
        for (name, sum) in std::mem::take(&mut self.sums) {
            metrics.insert(name, sum.total / sum.count as f64);
        }
        Ok(metrics)
    }

    fn save(&self, out: &mut StateDict) {
        let names: Vec<&str> = self.sums.keys().map(String::as_str).collect();
        out.put_vec("means/names", names.join("\n").into_bytes());
        out.put_vec(
            "means/totals",
            self.sums.values().map(|sum| sum.total).collect(),
        );
        out.put_vec(
            "means/counts",
            self.sums.values().map(|sum| sum.count).collect(),
        );
    }

    fn load(from: &StateDict) -> Result<Self, StateError> {
        let names = String::from_utf8_lossy(from.vec::<u8>("means/names")?).into_owned();
        let (totals, counts) = (
            from.vec::<f64>("means/totals")?,
            from.vec::<u64>("means/counts")?,
        );
        let sums = totals.iter().zip(counts).map(|(total, count)| Sum {
            total: *total,
            count: *count,
        });
        Ok(Self {
            sums: names.lines().map(str::to_owned).zip(sums).collect(),
            unread: Vec::new(),
        })
    }
}

/// Episodes of the training environments and what is to be logged next.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tracker {
    stats: EpisodeStats,
    /// Means since the last log line.
    pub(crate) means: MeanMetrics,
}

impl Tracker {
    /// For `envs` environments of this spec.
    pub(crate) fn new(spec: &EnvSpec, envs: usize) -> Result<Self, EnvError> {
        Ok(Self {
            stats: EpisodeStats::new(spec, envs, RECENT)?,
            means: MeanMetrics::default(),
        })
    }

    /// Counts one vector step.
    pub(crate) fn record(&mut self, out: &StepBuffers) -> Result<(), EnvError> {
        for episode in self.stats.record(out)? {
            self.means.add("train/return_mean", episode.total);
            self.means
                .add("train/episode_length", episode.length as f64);
            if let Some(success) = episode.success {
                let once = f64::from(u8::from(success.once));
                self.means.add("train/success_rate", once);
            }
        }
        Ok(())
    }

    /// Forgets the finished episodes: the warm-up's say nothing about the agent.
    pub(crate) fn forget_recent(&mut self) {
        self.stats.forget_recent();
    }

    /// Episodes finished.
    pub(crate) fn episodes(&self) -> u64 {
        self.stats.finished()
    }

    /// Mean return of the last episodes.
    pub(crate) fn mean_return(&self) -> Option<f64> {
        self.stats.means().map(|means| means.total)
    }

    pub(crate) fn save(&self, out: &mut StateDict) {
        out.put_vec::<u8>(EPISODES_ENTRY, self.stats.save_state());
        self.means.save(out);
    }

    /// Continues from what [`Tracker::save`] wrote; running episodes of checkpoints before format 3 begin anew.
    pub(crate) fn load(&mut self, from: &StateDict) -> Result<(), StateError> {
        if let Ok(stats) = from.vec::<u8>(EPISODES_ENTRY) {
            let bad = |problem: EnvError| StateError::Value {
                name: EPISODES_ENTRY.into(),
                problem: problem.to_string(),
            };
            self.stats.load_state(stats).map_err(bad)?;
        }
        self.means = MeanMetrics::load(from)?;
        Ok(())
    }
}
