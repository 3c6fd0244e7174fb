//! Proposals from the posterior of the noised action, and their weights (flame.md eq. 3 and 4).

use advect_flow::TimeConvention;
use advect_flow::flow_matching::weighted_mean;
use advect_kernels::truncnorm;
use candle_core::{D, Result, Tensor};

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

/// `w = softmax_k(q / temperature)`.
///
/// # Shapes
/// `q` `[B, K]` to `[B, K]`.
///
/// # Errors
/// If the device fails.
pub fn weights(q: &Tensor, temperature: f64) -> Result<Tensor> {
    let above = q.broadcast_sub(&q.max_keepdim(D::Minus1)?)?;
    let odds = (above * temperature.recip())?.exp()?;
    odds.broadcast_div(&odds.sum_keepdim(D::Minus1)?)
}

/// Effective sample size over `K`, mean over rows: `mean_b 1 / (K sum_k w_k^2)`.
///
/// # Shapes
/// `weights` `[B, K]` to a scalar.
///
/// # Errors
/// If the device fails.
pub fn effective_fraction(weights: &Tensor) -> Result<Tensor> {
    let k = weights.dim(1)? as f64;
    weights.sqr()?.sum(1)?.recip()?.mean_all()? / k
}

impl Proposals {
    /// Weighted mean of the proposals' velocities `[B, d]` (flame.md eq. 6).
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn mean_velocity(&self, velocity: TimeConvention, weights: &Tensor) -> Result<Tensor> {
        weighted_mean(weights, &velocity.velocity(&self.act, &self.eps)?)
    }
}
