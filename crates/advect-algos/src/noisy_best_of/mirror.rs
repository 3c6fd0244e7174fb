//! Mirror descent: regression on the policy's own noisy actions, weighted by their values (DPMD, FPMD).

use advect_rl::{Metrics, StateDict, StateError, TwinCritic};
use advect_rng::Stream;
use candle_core::{Device, Result, Tensor};
use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

use super::policy::{LossInputs, Objective, Policy, States};
use super::weights::{Moments, ValueScore, mirror_weights};
use crate::candidates::effective_fraction;
use crate::error::AlgoError;
use crate::validate::{positive, unit_interval};

/// Constants of the weights; baselines.md sections 3 and 5. (C) is the authors' code.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DocumentedFields)]
pub struct MirrorConfig {
    /// How a value becomes a score. Standardised, which is what the code means; (C) `repo_precedence`.
    pub value_score: ValueScore,
    /// Scores are clipped to plus and minus this. (C) 3.
    pub score_clip: f64,
    /// Step of the running mean and deviation of the values. (C) 0.001.
    pub moments_rate: f64,
}

impl Default for MirrorConfig {
    fn default() -> Self {
        Self {
            value_score: ValueScore::Standardised,
            score_clip: 3.0,
            moments_rate: 0.001,
        }
    }
}

impl MirrorConfig {
    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// [`AlgoError::Value`] with the key, what is wrong and the fix.
    pub fn validate(&self) -> std::result::Result<(), AlgoError> {
        positive(&[("score_clip", self.score_clip)])?;
        unit_interval(&[("moments_rate", self.moments_rate)])
    }
}

/// A policy that can be regressed on weighted actions.
pub trait Regress: Policy {
    /// `mean_(B, d) w_b (f_theta - target)^2` of actions noised with draws of `stream`, target and weights constant.
    ///
    /// # Shapes
    /// `params` `[N]`, `obs` `[B, o]`, `act` `[B, d]`, `weights` `[B]` to a scalar.
    ///
    /// # Errors
    /// On a shape mismatch.
    fn weighted_loss(
        &self,
        params: &Tensor,
        obs: &Tensor,
        act: &Tensor,
        weights: &Tensor,
        stream: &mut Stream,
    ) -> Result<Tensor>;
}

/// The objective of DPMD and FPMD, with the running moments of the values.
#[derive(Debug, Clone)]
pub struct Mirror {
    config: MirrorConfig,
    moments: Moments,
}

impl Mirror {
    /// Before the first update.
    ///
    /// # Errors
    /// If the device has no room.
    pub fn new(config: MirrorConfig, device: &Device) -> Result<Self> {
        let moments = Moments::new(device)?;
        Ok(Self { config, moments })
    }

    /// The running moments.
    pub fn moments(&self) -> &Moments {
        &self.moments
    }
}

/// `min(Q1, Q2)` of the online critics, a constant `[B]`.
fn values(critic: &TwinCritic, obs: &Tensor, act: &Tensor) -> Result<Tensor> {
    Ok(critic.min_q(obs, act)?.detach())
}

/// Effective number of rows over `B`.
fn effective_rows(weights: &Tensor) -> Result<Tensor> {
    let share = weights.broadcast_div(&weights.sum_all()?)?;
    effective_fraction(&share.unsqueeze(0)?)
}

impl<P: Regress> Objective<P> for Mirror {
    fn repeats(&self) -> bool {
        true
    }

    fn states(&self) -> States {
        States::Next
    }

    fn loss(
        &self,
        policy: &P,
        inputs: &LossInputs<'_>,
        stream: &mut Stream,
        metrics: &mut Metrics,
    ) -> Result<Tensor> {
        let q = values(inputs.critic, inputs.obs, inputs.act)?;
        let score = self.moments.score(&q, self.config.value_score)?;
        let weights = mirror_weights(&score, self.config.score_clip, inputs.alpha)?;
        metrics.insert_tensor("policy/weight_ess", &effective_rows(&weights)?)?;
        metrics.insert_mean("policy/weight_mean", &weights)?;
        metrics.insert_scalar("policy/q_mean", &self.moments.mean)?;
        metrics.insert_scalar("policy/q_std", &self.moments.std)?;
        policy.weighted_loss(inputs.params, inputs.obs, inputs.act, &weights, stream)
    }

    fn observe(&mut self, critic: &TwinCritic, next_obs: &Tensor, next_act: &Tensor) -> Result<()> {
        let q = values(critic, next_obs, next_act)?;
        self.moments.observe(&q, self.config.moments_rate)
    }

    fn save(&self, out: &mut StateDict) -> std::result::Result<(), StateError> {
        self.moments.save("moments", out)
    }

    fn load(&mut self, from: &StateDict) -> std::result::Result<(), StateError> {
        self.moments.load("moments", from)
    }
}
