//! The values of FMER's switches.

use advect_kernels::Activation;
use serde::{Deserialize, Serialize};

/// Activation of the velocity network; its derivative is differentiated, so it has to be smooth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Smooth {
    /// `x tanh(softplus(x))`.
    Mish,
    /// `x sigmoid(x)`.
    Silu,
}

impl From<Smooth> for Activation {
    fn from(smooth: Smooth) -> Self {
        match smooth {
            Smooth::Mish => Self::Mish,
            Smooth::Silu => Self::Silu,
        }
    }
}

/// Which parameters of the policy generate.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// Those that learn.
    Online,
    /// Their moving average.
    Ema,
}

/// Weights of the candidates (fmer.md 3.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Weighting {
    /// `softmax(A / T)`: every state has the same mass.
    Softmax,
    /// The best candidate only (ablation).
    Top1,
    /// `exp(A / T)` without division (ablation).
    Unnormalised,
}

/// The temperature of the mirror step (fmer.md section 6).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TemperatureRule {
    /// Kept at `init_temperature` (v1 of the paper).
    Constant,
    /// Moved until the effective sample size is `ess_target K` (v3).
    Ess,
}

/// How the temperature follows the effective sample size.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Controller {
    /// `log T += temperature_lr (ess_target - e)`.
    Integral,
    /// Solved on every batch, then smoothed by `temperature_smoothing` in `log T`.
    Bisection,
}

/// Where the entropy enters (fmer.md 5.2 and 5.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EntropyMode {
    /// A loss at single points of the flow, the points held constant.
    Local,
    /// A loss through all Euler steps.
    Unrolled,
    /// In the weights: `softmax((A - alpha log pi) / (T + alpha))`.
    Weights,
    /// Nowhere (ablation).
    Off,
}

/// The points of the local entropy loss (fmer.md 5.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LocalNodes {
    /// `(u_n, n/N)` of the candidates' trajectories at random `n`.
    Trajectory,
    /// The points of the regression; they share its forward pass.
    Interpolants,
}

/// How a divergence that is differentiated is taken (fmer.md 5.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Divergence {
    /// `probe' J probe` with one probe of signs per row.
    Hutchinson,
    /// All `d` diagonal entries, `d` tangent passes.
    Exact,
}

/// The entropy value of the dual step with a local loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DualEntropy {
    /// (H2) at the points of the loss.
    H2,
    /// (H1) from the log-density of one candidate per state.
    H1,
}
