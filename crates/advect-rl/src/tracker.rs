//! What the training loop counts: episodes and the means of metrics since the last log line.

use std::collections::{BTreeMap, VecDeque};

use candle_core::{DType, Tensor};

use crate::agent::Metrics;
use crate::state::{StateDict, StateError};

/// Episodes whose mean return an observer is shown.
const RECENT: usize = 20;

/// Sum and count of a metric since the last log line.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
struct Sum {
    total: f64,
    count: u64,
}

/// Means of metrics since they were last taken.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct MeanMetrics {
    sums: BTreeMap<String, Sum>,
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

    /// Counts the value of a scalar tensor; waits for the device.
    ///
    /// # Errors
    /// If the tensor is no scalar.
    pub fn add_tensor(&mut self, name: &str, value: &Tensor) -> candle_core::Result<()> {
        self.add(name, value.to_dtype(DType::F64)?.to_scalar()?);
        Ok(())
    }

    /// The means, and starts anew.
    pub fn take(&mut self) -> Metrics {
        let mut metrics = Metrics::new();
        for (name, sum) in std::mem::take(&mut self.sums) {
            metrics.insert(name, sum.total / sum.count as f64);
        }
        metrics
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
        })
    }
}

/// Episodes of the training environments and what is to be logged next.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Tracker {
    /// Return of each running episode so far.
    returns: Vec<f64>,
    /// Length of each running episode so far.
    lengths: Vec<u64>,
    /// Returns of the last finished episodes.
    recent: VecDeque<f64>,
    /// Episodes finished.
    pub(crate) episodes: u64,
    /// Means since the last log line.
    pub(crate) means: MeanMetrics,
}

impl Tracker {
    pub(crate) fn new(envs: usize) -> Self {
        let (returns, lengths) = (vec![0.0; envs], vec![0; envs]);
        Self {
            returns,
            lengths,
            recent: VecDeque::new(),
            episodes: 0,
            means: MeanMetrics::default(),
        }
    }

    /// Counts one vector step.
    pub(crate) fn record(&mut self, reward: &[f32], ended: impl Iterator<Item = bool>) {
        for (i, (reward, ended)) in reward.iter().zip(ended).enumerate() {
            self.returns[i] += f64::from(*reward);
            self.lengths[i] += 1;
            if ended {
                self.finish(i);
            }
        }
    }

    fn finish(&mut self, i: usize) {
        let (total, length) = (self.returns[i], self.lengths[i]);
        (self.returns[i], self.lengths[i]) = (0.0, 0);
        self.episodes += 1;
        self.means.add("train/return_mean", total);
        self.means.add("train/episode_length", length as f64);
        self.recent.truncate(RECENT - 1);
        self.recent.push_front(total);
    }

    /// Forgets the finished episodes: the warm-up's say nothing about the agent.
    pub(crate) fn forget_recent(&mut self) {
        self.recent.clear();
    }

    /// Mean return of the last episodes.
    pub(crate) fn mean_return(&self) -> Option<f64> {
        let count = self.recent.len();
        (count > 0).then(|| self.recent.iter().sum::<f64>() / count as f64)
    }

    pub(crate) fn save(&self, out: &mut StateDict) {
        out.put_vec("episodes/returns", self.returns.clone());
        out.put_vec("episodes/lengths", self.lengths.clone());
        out.put_vec("episodes/recent", self.recent.iter().copied().collect());
        out.put_scalar("episodes/finished", self.episodes);
        self.means.save(out);
    }

    pub(crate) fn load(&mut self, from: &StateDict) -> Result<(), StateError> {
        let envs = self.returns.len();
        self.returns = from.array("episodes/returns", &[envs])?.to_vec();
        self.lengths = from.array("episodes/lengths", &[envs])?.to_vec();
        self.recent = from.vec("episodes/recent")?.iter().copied().collect();
        self.episodes = from.scalar("episodes/finished")?;
        self.means = MeanMetrics::load(from)?;
        Ok(())
    }
}
