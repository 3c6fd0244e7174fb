//! `result.json`: how a run ended, for people and for other programs.

use advect_rl::{EvalReport, Outcome, RunError};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Name of the file in a run directory.
pub const RESULT_FILE: &str = "result.json";

/// Statistics of an evaluation, without its episodes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// Episodes.
    pub episodes: usize,
    /// Mean return.
    pub mean: f64,
    /// Population standard deviation of the returns.
    pub std: f64,
    /// Interquartile mean.
    pub iqm: f64,
    /// 95 % bootstrap interval of the mean.
    pub mean_interval: [f64; 2],
    /// 95 % bootstrap interval of the interquartile mean.
    pub iqm_interval: [f64; 2],
    /// Mean length of the episodes.
    pub episode_length: f64,
    /// The part of the episodes that achieved the task; left out for tasks without such a notion.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub success_rate: Option<f64>,
}

impl From<&EvalReport> for Evaluation {
    fn from(report: &EvalReport) -> Self {
        let steps: u64 = report.lengths.iter().sum();
        Self {
            episodes: report.returns.len(),
            mean: report.mean,
            std: report.std,
            iqm: report.iqm,
            mean_interval: report.mean_interval,
            iqm_interval: report.iqm_interval,
            episode_length: steps as f64 / report.lengths.len().max(1) as f64,
            success_rate: report.success_rate(),
        }
    }
}

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RunResult {
    /// Algorithm.
    pub algo: String,
    /// Environment id.
    pub env: String,
    /// Seed.
    pub seed: u64,
    /// Environment steps taken.
    pub env_steps: u64,
    /// Updates made.
    pub updates: u64,
    /// Whether it was stopped before its last step.
    pub stopped: bool,
    /// Seconds that the last process trained, evaluated and saved; a resumed run counts from where it went on.
    pub wall_seconds: f64,
    /// Hash of all parameters, hexadecimal; the same run has the same hash.
    pub parameter_hash: String,
    /// The last evaluation.
    pub evaluation: Option<Evaluation>,
}

impl RunResult {
    /// From what the loop returned.
    pub fn new(config: &advect_rl::RunConfig, outcome: &Outcome, wall_seconds: f64) -> Self {
        Self {
            algo: config.algo.clone(),
            env: config.env.clone(),
            seed: config.seed,
            env_steps: outcome.env_steps,
            updates: outcome.updates,
            stopped: outcome.stopped,
            wall_seconds,
            parameter_hash: format!("{:016x}", outcome.parameter_hash),
            evaluation: outcome.eval.as_ref().map(Evaluation::from),
        }
    }

    /// Writes it into the run directory, beside and renamed.
    ///
    /// # Errors
    /// What the system reports, a full disk among it.
    pub fn write(&self, run: &Path) -> Result<(), RunError> {
        let (place, beside) = (run.join(RESULT_FILE), run.join(".result.json.tmp"));
        let text = serde_json::to_string_pretty(self)
            .map_err(|e| RunError::io("write", &place, e.into()))?;
        std::fs::write(&beside, text + "\n").map_err(|e| RunError::io("write", &beside, e))?;
        std::fs::rename(&beside, &place).map_err(|e| RunError::io("write", &place, e))
    }
}
