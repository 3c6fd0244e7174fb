//! The algorithm: critics, then the policy, then the averages.

use advect_kernels::init::Init;
use advect_kernels::{Activation, Precision, random};
use advect_rl::critic::td_target;
use advect_rl::{ActMode, Batch, Metrics};
use advect_rng::Stream;
use candle_core::{Device, Result, Tensor};

use super::config::QvpoConfig;
use super::loss::{RowNoise, actions, weighted};
use super::weights;
use crate::candidates::{best, rank};
use crate::diffusion_policy::DiffusionPolicy;
use crate::dims::Dims;
use crate::error::AlgoError;
use crate::normals::Normals;
use crate::off_policy::{ActorCritic, Networks, OffPolicyAgent, OffPolicyAlgorithm};

/// Truncated normal with standard deviation `1 / (2 sqrt(fan_in))`, zero biases, in all networks.
const INIT: Init = Init::TruncatedNormal { scale: 0.5 };

/// QVPO's equations.
#[derive(Debug)]
pub struct Qvpo {
    config: QvpoConfig,
    policy: DiffusionPolicy,
}

/// QVPO.
pub type QvpoAgent = OffPolicyAgent<Qvpo>;

/// An agent with parameters drawn from `seed`.
///
/// # Errors
/// If the configuration makes no sense.
pub fn agent(
    config: QvpoConfig,
    dims: Dims,
    seed: u64,
    device: &Device,
) -> std::result::Result<QvpoAgent, AlgoError> {
    config.validate()?;
    let policy = config.diffusion.policy(dims)?;
    let networks = Networks::alike(
        &config.diffusion.hidden,
        Activation::Mish,
        INIT,
        config.adam(),
    );
    let parts = networks.draw("qvpo", policy.layout().clone(), dims, seed, device)?;
    let settings = config.off_policy.loop_settings();
    let table = config.clone();
    OffPolicyAgent::new("qvpo", &table, settings, parts, Qvpo { config, policy })
}

impl Qvpo {
    fn precision(&self) -> Precision {
        self.config.scoring.into()
    }

    /// `per_state` actions of the online policy at each state, `[B, per_state, d]`.
    fn candidates(
        &self,
        parts: &ActorCritic,
        obs: &Tensor,
        per_state: usize,
        normals: &mut Normals<'_>,
    ) -> Result<Tensor> {
        let params = parts.policy.online.params().detached();
        self.policy
            .draw(&params, obs, per_state, normals, self.precision())
    }

    /// `min Q̄(s', a')`, `a'` the best of the target policy's actions under the target critics `[B]`.
    fn next_value(&self, parts: &mut ActorCritic, next_obs: &Tensor) -> Result<Tensor> {
        let (per_state, precision) = (self.config.td_best_of, self.precision());
        let params = parts.policy.average().detached();
        let normals = &mut Normals::Stream(&mut parts.streams.next_action);
        let candidates = self
            .policy
            .draw(&params, next_obs, per_state, normals, precision)?;
        let (net, critics) = (parts.critic.net(), parts.critic.target());
        let next_act = best(net, critics, next_obs, &candidates, precision, None)?;
        parts.critic.target_q(next_obs, &next_act)
    }

    fn update_critic(
        &self,
        parts: &mut ActorCritic,
        batch: &Batch,
        metrics: &mut Metrics,
    ) -> Result<()> {
        let value = self.next_value(parts, &batch.next_obs)?;
        let gamma = self.config.off_policy.gamma;
        let ends = match self.config.truncation_ends {
            true => batch.terminated.maximum(&batch.truncated)?,
            false => batch.terminated.clone(),
        };
        let y = td_target(&batch.reward, &ends, &value, 1.0, gamma)?;
        parts
            .critic
            .learn(batch, &y, self.config.critic_lr, metrics)?;
        Ok(())
    }

    /// Actions `[B, R, d]` that the policy learns, and their weights `[B, R]`.
    fn targets(
        &self,
        parts: &mut ActorCritic,
        obs: &Tensor,
        metrics: &mut Metrics,
    ) -> Result<(Tensor, Tensor)> {
        let mut stream = parts.streams.policy.clone();
        let normals = &mut Normals::Stream(&mut stream);
        let candidates = self.candidates(parts, obs, self.config.num_candidates, normals)?;
        parts.streams.policy = stream;
        let (net, critics) = (parts.critic.net(), parts.critic.online().detached());
        let ranked = rank(net, &critics, obs, &candidates, self.precision())?;
        let (rows, m) = (obs.dim(0)?, self.config.num_uniform);
        let shape = (rows, m, self.policy.act_dim());
        let stream = &mut parts.streams.entropy;
        let uniform = random::uniform(stream, -1.0, 1.0, shape, obs.device())?;
        let omega = weights::advantage(&ranked.score)?;
        let entropy_coef = self.config.entropy_coefficient();
        let entropy_coef = entropy_coef.at(parts.updates, obs.device())?;
        metrics.insert_mean("policy/advantage", &omega)?;
        metrics.insert_scalar("policy/entropy_coef", &entropy_coef)?;
        let weights = weights::of_rows(&omega, &entropy_coef, m)?;
        Ok((actions(&ranked.action, &uniform)?, weights))
    }

    fn update_policy(
        &self,
        parts: &mut ActorCritic,
        obs: &Tensor,
        metrics: &mut Metrics,
    ) -> Result<()> {
        let (act, weights) = self.targets(parts, obs, metrics)?;
        let stream: &mut Stream = &mut parts.streams.policy;
        let noise = RowNoise {
            k: self.policy.steps(stream, weights.shape(), obs)?,
            eps: random::normal(stream, act.shape(), obs.device())?,
        };
        let params = parts.policy.online.params().tensor();
        let loss = weighted(&self.policy, params, obs, &act, &weights, &noise)?.loss;
        parts.descend(&loss, self.config.policy_lr, metrics)
    }
}

impl OffPolicyAlgorithm for Qvpo {
    fn act(
        &self,
        parts: &ActorCritic,
        obs: &Tensor,
        mode: ActMode,
        normals: &mut Normals<'_>,
    ) -> Result<Tensor> {
        let per_state = match mode {
            ActMode::Explore => self.config.behaviour_best_of,
            ActMode::Evaluate => self.config.eval_best_of,
        };
        let candidates = self.candidates(parts, obs, per_state, normals)?;
        parts.best(obs, &candidates, self.precision(), None)
    }

    fn update(
        &mut self,
        parts: &mut ActorCritic,
        batch: &Batch,
        metrics: &mut Metrics,
    ) -> Result<()> {
        self.update_critic(parts, batch, metrics)?;
        self.update_policy(parts, &batch.obs, metrics)?;
        parts.update_averages(self.config.off_policy.ema_tau)
    }

    fn kind(&self, _updates: u64) -> Option<u64> {
        Some(0)
    }
}
