//! What can be wrong with the choice of an algorithm.

use std::fmt::Display;

use advect_rl::ConfigError;

/// Why an agent cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AlgoError {
    /// No algorithm has this name.
    #[error("unknown algorithm `{name}`; nearest names: {}", nearest.join(", "))]
    UnknownAlgorithm {
        /// The name.
        name: String,
        /// The names nearest to it, best first.
        nearest: Vec<String>,
    },
    /// A key is unknown or has the wrong type.
    #[error("configuration of {algo}: {source}")]
    Config {
        /// The algorithm.
        algo: &'static str,
        /// What is wrong.
        source: ConfigError,
    },
    /// A value contradicts another one or makes no sense.
    #[error("configuration: `{key}` is {found}; {fix}")]
    Value {
        /// The key.
        key: String,
        /// Its value.
        found: String,
        /// How to mend it.
        fix: String,
    },
    /// A tensor operation failed.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

impl AlgoError {
    pub(crate) fn value(key: impl Display, found: impl Display, fix: impl Display) -> Self {
        Self::Value {
            key: key.to_string(),
            found: found.to_string(),
            fix: fix.to_string(),
        }
    }
}
