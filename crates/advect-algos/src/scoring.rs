//! Arithmetic of steps without gradient.

use advect_kernels::Precision;
use serde::{Deserialize, Serialize};

/// Arithmetic of candidate generation and scoring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scoring {
    /// Single precision.
    F32,
    /// bf16 products with f32 sums.
    Bf16,
}

impl From<Scoring> for Precision {
    fn from(scoring: Scoring) -> Self {
        match scoring {
            Scoring::F32 => Self::F32,
            Scoring::Bf16 => Self::Bf16,
        }
    }
}
