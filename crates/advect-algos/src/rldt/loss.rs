//! The three terms of the policy's loss (rldt.md section 3, steps 5 and 6).

use candle_core::{Result, Tensor};

use super::landing::landing;

/// What the velocities are compared with; constants, one row per particle.
#[derive(Debug, Clone)]
pub struct Targets {
    /// Intermediate points `x` `[N, A]`.
    pub point: Tensor,
    /// Their flow times `[N]`.
    pub tau: Tensor,
    /// End points `a` `[N, A]`.
    pub action: Tensor,
    /// The transport field at their landings `[N, A]`.
    pub phi: Tensor,
    /// Velocity of the reference policy at the anchor points `[N, A]`.
    pub v_ref: Tensor,
}

/// Weights of the terms.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Coefficients {
    /// Of the consistency term, `c_cons`.
    pub consistency: f64,
    /// Of the anchor, `c_kl`.
    pub anchor: f64,
    /// Steps of the flow, `K`.
    pub n_steps: usize,
}

/// The terms as scalars, with their coefficients.
#[derive(Debug, Clone)]
pub struct ActorLoss {
    /// `-mean <v, phi> / (K (1 - tau))`.
    pub transport: Tensor,
    /// `c_cons mean |x + (1 - tau) v - a|^2 / (K (1 - tau))^2`.
    pub consistency: Tensor,
    /// `c_kl mean |v' - v_ref|^2`.
    pub anchor: Tensor,
}

impl ActorLoss {
    /// Their sum.
    ///
    /// # Errors
    /// If the device fails.
    pub fn total(&self) -> Result<Tensor> {
        (&self.transport + &self.consistency)? + &self.anchor
    }
}

/// The terms for velocities `v` at the intermediate points and `v_anchor` at the anchor points, both differentiable.
///
/// The gradient of the first in `v` asks the landing of every point to move along the field; the second draws the flow straight, the
/// third keeps it near the reference. `1 - tau >= 1/K`, so no weight exceeds one.
///
/// # Shapes
/// `v` and `v_anchor` `[N, A]`.
///
/// # Errors
/// On a shape mismatch.
pub fn actor_loss(
    v: &Tensor,
    v_anchor: &Tensor,
    targets: &Targets,
    coefficients: Coefficients,
) -> Result<ActorLoss> {
    let Coefficients {
        consistency,
        anchor,
        n_steps,
    } = coefficients;
    let weight = targets
        .tau
        .affine(-(n_steps as f64), n_steps as f64)?
        .recip()?;
    let gain = ((v * targets.phi.detach())?.sum(1)? * &weight)?;
    let apart = (landing(&targets.point, v, &targets.tau)? - targets.action.detach())?;
    let bent = (apart.sqr()?.sum(1)? * weight.sqr()?)?;
    let drift = (v_anchor - targets.v_ref.detach())?.sqr()?.sum(1)?;
    Ok(ActorLoss {
        transport: gain.mean_all()?.neg()?,
        consistency: (bent.mean_all()? * consistency)?,
        anchor: (drift.mean_all()? * anchor)?,
    })
}
