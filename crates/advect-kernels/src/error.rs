//! Errors of the kernels.

/// What a kernel refuses, and why.
#[derive(Debug, thiserror::Error)]
pub enum KernelError {
    /// A tensor has another shape than the operation takes.
    #[error("{op}: `{tensor}` has shape {found:?}, expected {expected}")]
    Shape {
        /// The operation.
        op: &'static str,
        /// The argument's name.
        tensor: &'static str,
        /// Its shape.
        found: Vec<usize>,
        /// The shape the operation takes, in words.
        expected: String,
    },
    /// A value that must be finite is NaN or infinite.
    #[error("{what} is not finite: first bad value {value} at index {index} ({place})")]
    NonFinite {
        /// The quantity.
        what: String,
        /// Flat index of the first bad value.
        index: usize,
        /// The value.
        value: f32,
        /// Name of the parameter, row or coordinate that the index belongs to.
        place: String,
    },
    /// A description of a network, layout or schedule contradicts itself.
    #[error("{what}: {problem}; {fix}")]
    Invalid {
        /// The thing described.
        what: String,
        /// What is wrong with it.
        problem: String,
        /// How to mend it.
        fix: String,
    },
}

impl From<KernelError> for candle_core::Error {
    fn from(error: KernelError) -> Self {
        Self::wrap(error)
    }
}

/// Builds a [`KernelError::Shape`] as a candle error.
pub(crate) fn shape_error(
    op: &'static str,
    tensor: &'static str,
    found: &[usize],
    expected: impl Into<String>,
) -> candle_core::Error {
    let found = found.to_vec();
    let expected = expected.into();
    KernelError::Shape {
        op,
        tensor,
        found,
        expected,
    }
    .into()
}
