//! The action in the critic's target (fmer.md section 7).

use advect_flow::VelocityNet;
use advect_flow::density::Volume;
use candle_core::{Result, Tensor};

use super::entropy::density;
use super::policy::Sampler;

/// An action at the next states and its log-density.
#[derive(Debug, Clone)]
pub struct NextAction {
    /// `tanh(clamp(u_N))` `[B, d]`.
    pub action: Tensor,
    /// `log pi(a' | s')` before the clamp `[B]`.
    pub log_prob: Tensor,
}

/// One action per next state from noise `z`, with its density: one integration gives both. The target is then
/// `y = r + gamma (1 - terminated) (min Q(s', a') - alpha log pi(a' | s'))`.
///
/// # Shapes
/// `params` `[P]`, `next_obs` `[B, o]`, `z` `[B, d]`.
///
/// # Errors
/// On a shape mismatch.
pub fn next_action(
    net: &VelocityNet,
    params: &Tensor,
    next_obs: &Tensor,
    z: &Tensor,
    sampler: &Sampler,
    volume: Volume<'_>,
) -> Result<NextAction> {
    let density = density(net, params, next_obs, z, sampler.n_steps, volume)?;
    Ok(NextAction {
        action: sampler.clamp(&density.latent)?.tanh()?,
        log_prob: density.log_prob,
    })
}
