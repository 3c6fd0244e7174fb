//! The actor's loss.

use advect_kernels::ensemble::pessimistic_loss;
use advect_kernels::scalars::Scalar;
use advect_rl::CriticNet;
use candle_core::{Result, Tensor};

use super::policy::{GaussianPolicy, Sample};

/// The loss at some states and its gradient.
#[derive(Debug)]
pub struct ActorLoss {
    /// `a = tanh(mu + sigma eps)` and its log-density.
    pub sample: Sample,
    /// `Q_e(s, a)` `[E, B]`.
    pub q: Tensor,
    /// The loss `[]`.
    pub loss: Tensor,
    /// Its gradient in the policy's parameters `[N]`.
    pub gradient: Tensor,
}

/// `mean_b (alpha log pi(a | s) - min_e Q_e(s, a))` with `a` reparameterised, of a policy and critics with their parameters.
///
/// Source: Haarnoja et al., arXiv 1812.05905, eq. (9); the gradient is its chain rule: through the critic with the minimum to the action,
/// and from action and log-density to the network.
///
/// # Shapes
/// `obs` `[B, o]`, `eps` `[B, d]`, the policy's parameters `[N]`, the critics' `[E, P]`.
///
/// # Errors
/// On a shape mismatch.
pub fn loss(
    (policy, params): (&GaussianPolicy, &Tensor),
    (critic, critics): (&CriticNet, &Tensor),
    obs: &Tensor,
    eps: &Tensor,
    alpha: &Scalar,
) -> Result<ActorLoss> {
    let (sample, policy) = policy.sample_with_pullback(params, obs, eps)?;
    let (q, critic) = critic.q_values_with_pullback(critics, obs, &sample.action)?;
    let actor = pessimistic_loss(&q, &sample.log_prob, alpha)?;
    let action = critic.act(&actor.outputs)?;
    Ok(ActorLoss {
        gradient: policy.params(&action, &actor.penalty)?,
        loss: actor.loss,
        sample,
        q,
    })
}
