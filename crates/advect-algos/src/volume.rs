//! How entropies and log-densities measure what a step does to volume.

use advect_flow::density::Volume;
use candle_core::Tensor;
use serde::{Deserialize, Serialize};

/// A [`Volume`] before its probe is drawn (flame.md section 4, fmer.md 5.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum VolumeRule {
    /// One probe per trajectory.
    Hutchinson,
    /// The same with the second-order term of the step.
    SecondOrder,
    /// Exact traces.
    Trace,
    /// `log|det(I + h J)|`: exact for the Euler map.
    LogDet,
}

impl VolumeRule {
    /// Whether the measure uses a probe `[R, d]`.
    pub fn takes_probe(self) -> bool {
        matches!(self, Self::Hutchinson | Self::SecondOrder)
    }

    /// The measure with that probe, which is left alone where none is used.
    pub fn with(self, probe: &Tensor) -> Volume<'_> {
        match self {
            Self::Hutchinson => Volume::Hutchinson(probe),
            Self::SecondOrder => Volume::SecondOrder(probe),
            Self::Trace => Volume::Trace,
            Self::LogDet => Volume::LogDet,
        }
    }
}
