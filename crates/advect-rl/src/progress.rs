//! What an observer of a training run is told.

use std::path::Path;

use crate::agent::Metrics;
use crate::eval::EvalReport;

/// Where a run stands.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// Environment steps taken.
    pub env_steps: u64,
    /// Environment steps of the whole run.
    pub total_steps: u64,
    /// Updates made.
    pub updates: u64,
    /// Episodes finished.
    pub episodes: u64,
    /// Mean return of the last episodes (at most 100), once there is one.
    pub mean_return: Option<f64>,
    /// Environment steps per second since the process began to train.
    pub steps_per_second: f64,
    /// Seconds to the end at that speed, once it is known.
    pub seconds_left: Option<f64>,
}

/// Is told how a run goes: a progress bar, a log, nothing (`()`).
///
/// It cannot change the run, and wall-clock time is seen here only.
pub trait Progress {
    /// `done` of `total` warm-up transitions were collected.
    fn on_warmup(&mut self, _done: u64, _total: u64) {}
    /// A vector step and its updates are over.
    fn on_step(&mut self, _now: &Snapshot) {}
    /// A line of metrics was written.
    fn on_log(&mut self, _env_steps: u64, _metrics: &Metrics) {}
    /// An evaluation is over.
    fn on_eval(&mut self, _env_steps: u64, _report: &EvalReport) {}
    /// A checkpoint is on the disk.
    fn on_checkpoint(&mut self, _env_steps: u64, _path: &Path) {}
}

impl Progress for () {}
