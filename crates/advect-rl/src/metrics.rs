//! The log of a run: `metrics.jsonl`, one line per log step, and TensorBoard scalars beside it.

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::agent::Metrics;
use crate::error::RunError;
use crate::storage::{Sink, Storage};
use crate::tensorboard;

/// Name of the metrics file in a run directory.
pub const METRICS_FILE: &str = "metrics.jsonl";
/// Name of the TensorBoard event file in a run directory.
pub const EVENTS_FILE: &str = "events.out.tfevents.0000000000.advect";

/// Bytes of the two log files that belong to a checkpoint.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLengths {
    /// Of `metrics.jsonl`.
    pub metrics: u64,
    /// Of the event file.
    pub events: u64,
}

struct LogFile {
    path: PathBuf,
    sink: Box<dyn Sink>,
    len: u64,
}

impl LogFile {
    fn open(storage: &dyn Storage, path: PathBuf, keep: u64) -> Result<Self, RunError> {
        let found = fs::metadata(&path).map_or(0, |m| m.len());
        if found < keep {
            return Err(RunError::Damaged {
                what: "its length",
                found: format!("{found} bytes").into(),
                expected: format!("at least {keep} bytes").into(),
                fix: "restore the file from a copy, or resume from an older checkpoint".into(),
                path,
            });
        }
        let sink = storage
            .append(&path, keep)
            .map_err(|source| RunError::io("open", &path, source))?;
        Ok(Self {
            path,
            sink,
            len: keep,
        })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), RunError> {
        let written = self.sink.write_all(bytes).and_then(|()| self.sink.flush());
        written.map_err(|source| RunError::io("write", &self.path, source))?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    fn sync(&mut self) -> Result<u64, RunError> {
        self.sink
            .sync()
            .map_err(|source| RunError::io("sync", &self.path, source))?;
        Ok(self.len)
    }
}

/// Writes both logs; every line and event is flushed when it is written.
pub struct MetricsWriter {
    metrics: LogFile,
    events: LogFile,
}

impl MetricsWriter {
    /// Opens the logs of a run directory and cuts them to the lengths of a checkpoint (zero for a new run), so that a
    /// resumed run writes no line twice.
    ///
    /// # Errors
    /// If a file is shorter than recorded or cannot be opened.
    pub fn open(storage: &dyn Storage, dir: &Path, keep: LogLengths) -> Result<Self, RunError> {
        let metrics = LogFile::open(storage, dir.join(METRICS_FILE), keep.metrics)?;
        let mut events = LogFile::open(storage, dir.join(EVENTS_FILE), keep.events)?;
        if keep.events == 0 {
            events.write(&tensorboard::version_event(wall_time()))?;
        }
        Ok(Self { metrics, events })
    }

    /// Writes one line `{"step":...,"name":value,...}` and one event with the same scalars.
    ///
    /// The line holds no wall-clock time: the same run gives the same bytes. TensorBoard's event does hold it.
    ///
    /// # Errors
    /// If the disk is full or refuses.
    pub fn write(&mut self, step: u64, metrics: &Metrics) -> Result<(), RunError> {
        self.metrics.write(json_line(step, metrics).as_bytes())?;
        self.events.write(&tensorboard::scalars_event(
            wall_time(),
            step,
            metrics.iter(),
        ))
    }

    /// Waits until everything is on the disk and returns the lengths for a checkpoint.
    ///
    /// # Errors
    /// If the disk is full or refuses.
    pub fn sync(&mut self) -> Result<LogLengths, RunError> {
        Ok(LogLengths {
            metrics: self.metrics.sync()?,
            events: self.events.sync()?,
        })
    }
}

fn wall_time() -> f64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    since.map_or(0.0, |t| t.as_secs_f64())
}

fn json_line(step: u64, metrics: &Metrics) -> String {
    // serde_json writes a number that is not finite as null; the loop refuses those before
    let values = metrics
        .iter()
        .map(|(name, value)| format!(",{}:{}", Value::from(name), Value::from(value)));
    format!("{{\"step\":{step}{}}}\n", values.collect::<String>())
}

/// Reads a `metrics.jsonl`: step and metrics of every line.
///
/// # Errors
/// If the file cannot be read or a line is no object of numbers with a `step`; a last line without its end (of a run that
/// is writing it) is left out.
pub fn read_metrics(path: &Path) -> Result<Vec<(u64, Metrics)>, RunError> {
    let text = fs::read_to_string(path).map_err(|source| RunError::io("read", path, source))?;
    let lines = text
        .split_inclusive('\n')
        .filter(|line| line.ends_with('\n'))
        .enumerate();
    lines
        .map(|(i, line)| parse_line(line).ok_or_else(|| bad_line(path, i + 1, line)))
        .collect()
}

fn parse_line(line: &str) -> Option<(u64, Metrics)> {
    let object: Map<String, Value> = serde_json::from_str(line).ok()?;
    let step = object.get("step")?.as_u64()?;
    let mut metrics = Metrics::new();
    for (name, value) in object.into_iter().filter(|(name, _)| name != "step") {
        metrics.insert(name, value.as_f64()?);
    }
    Some((step, metrics))
}

fn bad_line(path: &Path, number: usize, line: &str) -> RunError {
    RunError::Damaged {
        path: path.to_owned(),
        what: "a line",
        found: format!("line {number}: {}", line.trim_end()).into(),
        expected: "a JSON object of numbers with a `step`".into(),
        fix: "remove the line".into(),
    }
}
