//! Entropy of the policy, apart from how it acts (flame.md section 4).

use advect_flow::density::{standard_normal_entropy, transport};
use advect_flow::{Conditional, DifferentiableField, Grid, MeanVelocityNet, VelocityNet};
use candle_core::{Result, Tensor};

use super::config::{Entropy, Trace};
use crate::volume::VolumeRule;

/// Bound of the authors' per-step trace.
const REPO_TRACE_CLIP: f64 = 10.0;

/// Which estimate, in how many steps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Estimator {
    /// Form of the volume term.
    pub entropy: Entropy,
    /// Trace of a first-order form.
    pub trace: Trace,
    /// Integration steps.
    pub n_ent: usize,
}

impl Estimator {
    /// Whether the estimate uses a probe `[B, d]`.
    pub fn takes_probe(self) -> bool {
        self.entropy == Entropy::RepoNoDt || self.rule().takes_probe()
    }

    fn rule(self) -> VolumeRule {
        match (self.entropy, self.trace) {
            (Entropy::ExactLogdet, _) => VolumeRule::LogDet,
            (_, Trace::Exact) => VolumeRule::Trace,
            _ => VolumeRule::Hutchinson,
        }
    }
}

/// FLAME-M: entropy per state of the generator started at `z_1 ~ N(0, I)` (eq. 9).
///
/// `probe` is used only where [`Estimator::takes_probe`] says so.
///
/// # Shapes
/// `params` `[N]`, `obs` `[B, o]`, `z_1` and `probe` `[B, d]` to `[B]`.
///
/// # Errors
/// On a shape mismatch.
pub fn mean_flow_entropy(
    net: &MeanVelocityNet,
    params: &Tensor,
    obs: &Tensor,
    z_1: &Tensor,
    probe: &Tensor,
    estimator: Estimator,
) -> Result<Tensor> {
    let field = Conditional { net, params, obs };
    if estimator.entropy == Entropy::RepoNoDt {
        return repo_entropy(&field, z_1, probe, estimator.n_ent);
    }
    let grid = Grid::downwards(estimator.n_ent);
    transport(&field, z_1, grid, estimator.rule().with(probe))?.entropy_from_noise()
}

/// FLAME-R: `-log pi(act | obs)` by Euler steps from data to noise (flame.md 4.3).
///
/// # Shapes
/// `params` `[N]`, `obs` `[B, o]`, `act` and `probe` `[B, d]` to `[B]`.
///
/// # Errors
/// On a shape mismatch.
pub fn rectified_flow_entropy(
    net: &VelocityNet,
    params: &Tensor,
    obs: &Tensor,
    act: &Tensor,
    probe: &Tensor,
    estimator: Estimator,
) -> Result<Tensor> {
    let field = Conditional { net, params, obs };
    let grid = Grid::downwards(estimator.n_ent);
    transport(&field, act, grid, estimator.rule().with(probe))?
        .log_prob_to_noise()?
        .neg()
}

/// The authors' FLAME-M estimate (flame.md 4.2): the network taken as a displacement, so neither drift nor trace
/// carries the step's length (Q3).
fn repo_entropy(
    field: &impl DifferentiableField,
    z_1: &Tensor,
    probe: &Tensor,
    n_ent: usize,
) -> Result<Tensor> {
    let (rows, d) = z_1.dims2()?;
    let mut z = z_1.detach();
    let mut entropy = Tensor::full(standard_normal_entropy(d) as f32, rows, z.device())?;
    for span in Grid::downwards(n_ent).spans() {
        let (drift, along) = field.jvp(&z, span, probe)?;
        let trace = (probe * along)?
            .sum(1)?
            .clamp(-REPO_TRACE_CLIP, REPO_TRACE_CLIP)?;
        entropy = (entropy - trace)?;
        z = (z - drift)?;
    }
    Ok(entropy)
}
