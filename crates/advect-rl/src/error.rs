//! Errors of run directories and of the training loop.

use std::io;
use std::path::{Path, PathBuf};

use advect_envs::EnvError;
use advect_envs::data::DataError;

use crate::config::ConfigError;
use crate::replay::ReplayError;
use crate::state::StateError;

/// What can go wrong with the files of a run; every message names the file and the fix.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The disk is full, or a quota or a limit on file sizes is used up; what was complete before is untouched.
    #[error(
        "disk full while writing {} ({source}): free some space and resume the run; the checkpoints saved before are intact",
        path.display()
    )]
    DiskFull {
        /// The file that could not be written.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The system refused to read or write.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A file does not have the recorded content.
    #[error("{} is damaged: {what} is {found}, expected {expected}; {fix}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// Which property.
        what: &'static str,
        /// What the file has.
        found: Box<str>,
        /// What was recorded.
        expected: Box<str>,
        /// How to mend it.
        fix: Box<str>,
    },
    /// The checkpoint was written in a format that this version does not read.
    #[error(
        "{} has checkpoint format {found}, this version reads format {expected}; use the advect version that wrote it ({written_by})",
        path.display()
    )]
    Format {
        /// The manifest.
        path: PathBuf,
        /// Its format.
        found: u32,
        /// The format of this version.
        expected: u32,
        /// The version that wrote it.
        written_by: String,
    },
    /// The folder holds a run already.
    #[error("{} holds a run already: resume it, or choose another folder or seed", path.display())]
    Exists {
        /// The run directory.
        path: PathBuf,
    },
    /// The folder holds no run.
    #[error("{} is not a run directory: it has no config.toml", path.display())]
    NoRun {
        /// The folder.
        path: PathBuf,
    },
    /// Another process writes to the run.
    #[error("{} is in use by another process: stop it first", path.display())]
    InUse {
        /// The run directory.
        path: PathBuf,
    },
    /// There is no checkpoint at this step.
    #[error("{} has no checkpoint at step {step}; it has: {}", path.display(), listed(present))]
    NoCheckpoint {
        /// The run directory.
        path: PathBuf,
        /// The step asked for.
        step: u64,
        /// The steps that are there.
        present: Vec<u64>,
    },
    /// The checkpoint belongs to a run with another configuration.
    #[error(
        "{} was saved with another algorithm, environment, seed or agent configuration (hash {found}, config.toml has {expected}); restore config.toml or start a new run",
        path.display()
    )]
    OtherConfig {
        /// The manifest.
        path: PathBuf,
        /// Hash in the manifest.
        found: String,
        /// Hash of the configuration.
        expected: String,
    },
    /// The content of a checkpoint file does not fit the agent or the environment.
    #[error("{}: {source}", path.display())]
    State {
        /// The file.
        path: PathBuf,
        /// What does not fit.
        source: StateError,
    },
    /// The configuration cannot be read.
    #[error("{}: {source}", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        source: ConfigError,
    },
}

fn listed(steps: &[u64]) -> String {
    if steps.is_empty() {
        return "none".into();
    }
    let steps: Vec<String> = steps.iter().map(u64::to_string).collect();
    steps.join(", ")
}

impl RunError {
    /// Wraps what the system said of `path`; a full disk is told apart.
    pub fn io(action: &'static str, path: impl AsRef<Path>, source: io::Error) -> Self {
        let path = path.as_ref().to_owned();
        match source.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::FileTooLarge
            | io::ErrorKind::WriteZero => Self::DiskFull { path, source },
            _ => Self::Io {
                action,
                path,
                source,
            },
        }
    }
}

/// What stops a training run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// The run's files.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The environment.
    #[error(transparent)]
    Env(#[from] EnvError),
    /// The replay.
    #[error(transparent)]
    Replay(#[from] ReplayError),
    /// A file of recorded transitions.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A tensor operation outside of an update.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
    /// The agent's update failed, by a gradient that is not finite for example.
    #[error("update {update} at environment step {env_steps}: {source}")]
    Update {
        /// Environment steps taken.
        env_steps: u64,
        /// Number of the update, counted from 1.
        update: u64,
        /// What the agent reported.
        source: candle_core::Error,
    },
    /// The agent's state cannot be saved.
    #[error(transparent)]
    State(#[from] StateError),
    /// A metric, a parameter or an action is NaN or infinite.
    #[error(
        "{what} became {value} at environment step {env_steps}, update {updates} ({place}); the run stopped, its last checkpoint is \
         from before: resume it with a lower learning rate or another setting, or look at the metrics before this step"
    )]
    NonFinite {
        /// The metric, state entry or action.
        what: String,
        /// Where in it.
        place: String,
        /// Its value.
        value: f64,
        /// Environment steps taken.
        env_steps: u64,
        /// Updates made.
        updates: u64,
    },
    /// The agent, the environment or the settings do not fit each other.
    #[error("{what}: {problem}; {fix}")]
    Invalid {
        /// The thing.
        what: String,
        /// What is wrong with it.
        problem: String,
        /// How to mend it.
        fix: String,
    },
}
