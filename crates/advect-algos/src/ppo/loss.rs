//! The loss of a minibatch.

use candle_core::{Result, Tensor};

use super::actor_critic::ActorCritic;
use super::{surrogate, value};
use crate::gaussian;

/// Rows of a rollout, all constants.
#[derive(Debug, Clone)]
pub struct Rows {
    /// Normalised observations `[B, o]`.
    pub obs: Tensor,
    /// What the policy drew: actions, outside of the box too `[B, d]`, or whatever else has the log-probability `[B, ..]`.
    pub act: Tensor,
    /// `log pi_old(a | s)` `[B]`.
    pub log_prob: Tensor,
    /// `V_old(s)` `[B]`.
    pub value: Tensor,
    /// Advantages `[B]`.
    pub advantage: Tensor,
    /// Returns `[B]`.
    pub returns: Tensor,
}

impl Rows {
    /// The rows with these numbers.
    ///
    /// # Shapes
    /// `index` `[b]`, u32.
    ///
    /// # Errors
    /// If there is no such row.
    pub fn select(&self, index: &Tensor) -> Result<Self> {
        let rows = |x: &Tensor| x.index_select(index, 0);
        Ok(Self {
            obs: rows(&self.obs)?,
            act: rows(&self.act)?,
            log_prob: rows(&self.log_prob)?,
            value: rows(&self.value)?,
            advantage: rows(&self.advantage)?,
            returns: rows(&self.returns)?,
        })
    }

    /// Minibatch `i` of `count` in this order; their sizes differ by at most one.
    ///
    /// # Shapes
    /// `order` `[B]`, u32.
    ///
    /// # Errors
    /// If there is no such row.
    pub fn minibatch(&self, order: &Tensor, i: usize, count: usize) -> Result<Self> {
        let rows = order.elem_count();
        let (first, end) = (i * rows / count, (i + 1) * rows / count);
        self.select(&order.narrow(0, first, end - first)?)
    }
}

/// Weights of the summands.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Coefficients {
    /// Clip of the ratio.
    pub clip: f64,
    /// Whether the value is clipped by the same number.
    pub clip_value: bool,
    /// Weight of the value loss.
    pub value: f64,
    /// Weight of the entropy.
    pub entropy: f64,
}

/// The summands, their sum, and what the diagnostics need.
#[derive(Debug, Clone)]
pub struct Losses {
    /// `policy + c_value value - c_entropy entropy`.
    pub total: Tensor,
    /// [`surrogate::loss`].
    pub policy: Tensor,
    /// [`value::loss`].
    pub value: Tensor,
    /// Entropy of the policy, the same in every state.
    pub entropy: Tensor,
    /// `log pi(a | s)` `[B]`.
    pub log_prob: Tensor,
    /// `log pi(a | s) - log pi_old(a | s)` `[B]`.
    pub log_ratio: Tensor,
}

/// Eq. (9) with the sign of a loss; differentiable in the parameters.
///
/// # Errors
/// On a shape mismatch.
pub fn losses(
    net: &ActorCritic,
    params: &Tensor,
    rows: &Rows,
    coefficients: &Coefficients,
) -> Result<Losses> {
    let (mean, log_std) = (net.mean(params, &rows.obs)?, net.log_std(params)?);
    let log_prob = gaussian::log_prob(&rows.act, &mean, &log_std)?;
    let log_ratio = (&log_prob - &rows.log_prob)?;
    let policy = surrogate::loss(&log_ratio, &rows.advantage, coefficients.clip)?;
    let value = net.value(params, &rows.obs)?;
    let clip = coefficients.clip_value.then_some(coefficients.clip);
    let value = value::loss(&value, &rows.value, &rows.returns, clip)?;
    let entropy = gaussian::entropy(&log_std)?;
    let bonus = (&entropy * coefficients.entropy)?;
    let total = ((&policy + (&value * coefficients.value)?)? - bonus)?;
    Ok(Losses {
        total,
        policy,
        value,
        entropy,
        log_prob,
        log_ratio,
    })
}
