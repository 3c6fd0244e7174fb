//! What can be wrong with a file of transitions.

use std::path::{Path, PathBuf};

/// Why a file of transitions cannot be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DataError {
    /// The system refused.
    #[error("cannot {action} {}: {source}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is neither HDF5 nor npz, or damaged.
    #[error("{} cannot be parsed as {format}: {reason}; fetch or record it again", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What it was taken for.
        format: &'static str,
        /// What the parser said.
        reason: String,
    },
    /// The file holds none of the known layouts.
    #[error(
        "{} has no known layout (D4RL `observations`, Minari `episode_0`, robomimic `data/demo_0`); it has: {}",
        path.display(), entries.join(", ")
    )]
    UnknownLayout {
        /// The file.
        path: PathBuf,
        /// What is at its root.
        entries: Vec<String>,
    },
    /// An entry is missing, or does not fit.
    #[error("`{entry}` of {}: {problem}", path.display())]
    Entry {
        /// The file.
        path: PathBuf,
        /// The entry.
        entry: String,
        /// What is wrong with it.
        problem: String,
    },
    /// A number is NaN or infinite.
    #[error(
        "`{entry}` of {} is {value} in transition {transition} at index {index}; remove the episode or record it again",
        path.display()
    )]
    NonFinite {
        /// The file.
        path: PathBuf,
        /// The entry.
        entry: String,
        /// The transition.
        transition: usize,
        /// The index within the observation or action.
        index: usize,
        /// The number.
        value: f32,
    },
}

impl DataError {
    pub(super) fn bad(path: &Path, entry: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Entry {
            path: path.to_owned(),
            entry: entry.into(),
            problem: problem.into(),
        }
    }

    pub(super) fn io(action: &'static str, path: &Path, source: std::io::Error) -> Self {
        Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }

    pub(super) fn malformed(
        path: &Path,
        format: &'static str,
        reason: impl std::fmt::Display,
    ) -> Self {
        Self::Malformed {
            path: path.to_owned(),
            format,
            reason: reason.to_string(),
        }
    }

    pub(super) fn unknown_layout(path: &Path, entries: Vec<String>) -> Self {
        Self::UnknownLayout {
            path: path.to_owned(),
            entries,
        }
    }
}
