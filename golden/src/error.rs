//! What can go wrong between a file and its verdict.

use std::path::PathBuf;

/// Why a case has no result.
#[derive(Debug, thiserror::Error)]
pub enum GoldenError {
    /// The directory holds nothing to run.
    #[error("{}: {problem}; give a directory with `<case>__<tag>.safetensors` files", dir.display())]
    Directory {
        /// The directory given.
        dir: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The report could not be written.
    #[error("cannot write the report: {0}")]
    Report(#[source] std::io::Error),
    /// The file could not be read.
    #[error("unreadable: {0}")]
    Unreadable(#[source] std::io::Error),
    /// The file is not a reference case.
    #[error("malformed: {0}")]
    Malformed(String),
    /// No function has the case's name.
    #[error("unknown case `{0}`")]
    UnknownCase(String),
    /// The case needs an input that the file lacks.
    #[error("malformed: no input `{0}`")]
    MissingInput(String),
    /// The case needs a configuration value that the file lacks or that has another type.
    #[error("malformed: config `{key}`: {problem}")]
    Config {
        /// The key.
        key: String,
        /// What is wrong with its value.
        problem: String,
    },
    /// A tensor has another shape than the network or the output takes.
    #[error("`{name}` has shape {found:?}, expected {expected:?}")]
    Shape {
        /// The tensor.
        name: String,
        /// Its shape.
        found: Vec<usize>,
        /// The shape needed.
        expected: Vec<usize>,
    },
    /// The case gives no gradient of a tensor that it is asked for.
    #[error("there is no gradient of `{0}`")]
    NoGradient(String),
    /// The function under test panicked.
    #[error("panicked: {0}")]
    Panic(String),
    /// The function under test refused.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
    /// A library of the workspace refused.
    #[error(transparent)]
    Other(Box<dyn std::error::Error + Send + Sync>),
}

impl GoldenError {
    /// Wraps the typed error of any library of the workspace.
    pub fn other(error: impl std::error::Error + Send + Sync + 'static) -> Self {
        Self::Other(Box::new(error))
    }

    /// The error for a configuration value that is none of the contract's.
    pub fn unknown_choice(key: &str, value: &str) -> Self {
        Self::Config {
            key: key.to_owned(),
            problem: format!("unknown value `{value}`"),
        }
    }

    pub(crate) fn malformed(problem: impl std::fmt::Display) -> Self {
        Self::Malformed(problem.to_string())
    }
}
