//! Proposals from the posterior of the noised action (flame.md eq. 3); their weights (eq. 4) are
//! [`softmax_weights`](crate::candidates::softmax_weights).

use advect_flow::TimeConvention;
use advect_flow::flow_matching;
use advect_kernels::truncnorm;
use candle_core::{Result, Tensor};

/// Noise, times and levels of one policy loss.
#[derive(Debug, Clone)]
pub struct ProposalNoise {
    /// Noise of the replayed action `[B, d]`.
    pub eps0: Tensor,
    /// CDF levels of the proposals in (0, 1) `[B, K, d]`.
    pub levels: Tensor,
}

/// `K` proposals per state.
#[derive(Debug, Clone)]
pub struct Proposals {
    /// The noised replayed action `[B, d]`.
    pub z: Tensor,
    /// Proposed actions in `[-1, 1]` `[B, K, d]`.
    pub act: Tensor,
    /// The noise that goes with each `[B, K, d]`.
    pub eps: Tensor,
}

/// Noises the replayed actions and draws `a_k` from the posterior of the action given `z`, truncated to the box:
/// `TruncNormal(z / c_a, c_eps / c_a, [-1, 1])`, `eps_k = (z - c_a a_k) / c_eps`.
///
/// # Shapes
/// `act` `[B, d]`, `time` `[B]`.
///
/// # Errors
/// On a shape mismatch.
pub fn propose(
    path: TimeConvention,
    act: &Tensor,
    time: &Tensor,
    noise: &ProposalNoise,
    clip_z: bool,
) -> Result<Proposals> {
    let z = path.interpolate(act, &noise.eps0, time)?;
    let z = if clip_z { z.clamp(-1.0, 1.0)? } else { z };
    let (c_a, c_eps) = path.coefficients(time)?;
    let (act, eps) = truncnorm::propose(&z, &c_a, &c_eps, &noise.levels)?;
    Ok(Proposals { z, act, eps })
}

impl Proposals {
    /// Weighted mean of the proposals' velocities `[B, d]` (flame.md eq. 6).
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn mean_velocity(&self, velocity: TimeConvention, weights: &Tensor) -> Result<Tensor> {
        flow_matching::mean_velocity(velocity, weights, &self.act, &self.eps)
    }
}
