//! The loss of a minibatch: PPO's, with chains in the place of actions.

use advect_kernels::Mlp;
use candle_core::{D, Result, Tensor};

use super::chain::NoisyChain;
use crate::ppo::loss::{Losses, Rows};
use crate::ppo::{surrogate, value};

/// Weights and limits of the loss.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Coefficients {
    /// Clip of the ratio.
    pub clip: f64,
    /// Largest absolute value of a log-probability.
    pub log_prob_limit: f64,
    /// Weight of the value loss.
    pub value: f64,
    /// Weight of the entropy.
    pub entropy: f64,
}

/// `V(s)`; differentiable in the parameters.
///
/// # Shapes
/// `params` `[N]`, `obs` `[B, o]` to `[B]`.
///
/// # Errors
/// On a shape mismatch.
pub fn state_value(net: &Mlp, params: &Tensor, obs: &Tensor) -> Result<Tensor> {
    net.forward(params, obs)?.squeeze(D::Minus1)
}

/// `clip(log p, -l, l) - clip(log p_old, -l, l)`.
///
/// # Shapes
/// Both `[B]` to `[B]`.
///
/// # Errors
/// On a shape mismatch.
pub fn log_ratio(log_prob: &Tensor, old: &Tensor, limit: f64) -> Result<Tensor> {
    log_prob.clamp(-limit, limit)? - old.clamp(-limit, limit)?
}

/// `L = -mean min(rho A, clip(rho) A) + c_value 0.5 mean (V - R)^2 - c_entropy H`, `rho` the ratio of the chains' likelihoods;
/// differentiable in the parameters of policy and value.
///
/// # Shapes
/// `policy` and `value` flat parameters, [`Rows::act`] chains `[B, K + 1, A]`.
///
/// # Errors
/// On a shape mismatch.
pub fn losses(
    chain: &NoisyChain,
    value_net: &Mlp,
    (policy, value): (&Tensor, &Tensor),
    rows: &Rows,
    coefficients: &Coefficients,
) -> Result<Losses> {
    let likelihood = chain.likelihood(policy, &rows.obs, &rows.act)?;
    let limit = coefficients.log_prob_limit;
    let log_ratio = log_ratio(&likelihood.log_prob, &rows.log_prob, limit)?;
    let policy = surrogate::loss(&log_ratio, &rows.advantage, coefficients.clip)?;
    let value = state_value(value_net, value, &rows.obs)?;
    let value = value::loss(&value, &rows.value, &rows.returns, None)?;
    let bonus = (&likelihood.entropy * coefficients.entropy)?;
    let total = ((&policy + (&value * coefficients.value)?)? - bonus)?;
    Ok(Losses {
        total,
        policy,
        value,
        entropy: likelihood.entropy,
        log_prob: likelihood.log_prob,
        log_ratio,
    })
}
