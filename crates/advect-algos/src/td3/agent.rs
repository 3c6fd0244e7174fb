//! The algorithm: critics every update, actor and targets every few.

use advect_kernels::init::Init;
use advect_kernels::optim::AdamConfig;
use advect_kernels::{Activation, random};
use advect_rl::critic::td_target;
use advect_rl::{ActMode, Batch, Metrics};
use candle_core::{Device, Result, Tensor};

use super::actor::{self, TanhPolicy};
use super::config::Td3Config;
use super::smoothing::noisy;
use crate::dims::Dims;
use crate::error::AlgoError;
use crate::normals::Normals;
use crate::off_policy::{ActorCritic, Networks, OffPolicyAgent, OffPolicyAlgorithm};

/// TD3's equations.
#[derive(Debug)]
pub struct Td3 {
    config: Td3Config,
    policy: TanhPolicy,
}

/// Twin delayed deep deterministic policy gradient.
pub type Td3Agent = OffPolicyAgent<Td3>;

/// An agent with parameters drawn from `seed`.
///
/// # Errors
/// If the configuration makes no sense.
pub fn agent(
    config: Td3Config,
    dims: Dims,
    seed: u64,
    device: &Device,
) -> std::result::Result<Td3Agent, AlgoError> {
    config.validate()?;
    let policy = TanhPolicy::new(dims.obs, dims.act, &config.hidden)?;
    let networks = Networks::alike(
        &config.hidden,
        Activation::Relu,
        Init::FanInUniform,
        AdamConfig::default(),
    );
    let parts = networks.draw("td3", policy.layout(), dims, seed, device)?;
    let settings = config.off_policy.loop_settings();
    let table = config.clone();
    OffPolicyAgent::new("td3", &table, settings, parts, Td3 { config, policy })
}

impl Td3 {
    /// `y = r + gamma (1 - terminated) min_e Q'_e(s', a')` with the target actor's action and noise on it.
    fn target(&self, parts: &mut ActorCritic, batch: &Batch) -> Result<Tensor> {
        let target = parts.policy.average().detached();
        let next_act = self.policy.action(&target, &batch.next_obs)?;
        let stream = &mut parts.streams.next_action;
        let eps = random::normal(stream, next_act.shape(), next_act.device())?;
        let (std, clip) = (self.config.target_noise, self.config.target_noise_clip);
        let next_act = noisy(&next_act, &eps, std, clip)?;
        let value = parts.critic.target_q(&batch.next_obs, &next_act)?;
        let gamma = self.config.off_policy.gamma;
        td_target(&batch.reward, &batch.terminated, &value, 1.0, gamma)
    }

    fn policy_due(&self, updates: u64) -> bool {
        (updates + 1).is_multiple_of(self.config.delay_update)
    }

    fn update_actor(
        &self,
        parts: &mut ActorCritic,
        obs: &Tensor,
        metrics: &mut Metrics,
    ) -> Result<()> {
        let params = parts.policy.online.params().tensor();
        let act = self.policy.action(params, obs)?;
        let loss = actor::loss(&parts.critic.first_q(obs, &act)?)?;
        parts.descend(&loss, self.config.actor_lr, metrics)
    }
}

impl OffPolicyAlgorithm for Td3 {
    /// `tanh f(s)`; noise on it only to explore.
    fn act(
        &self,
        parts: &ActorCritic,
        obs: &Tensor,
        mode: ActMode,
        normals: &mut Normals<'_>,
    ) -> Result<Tensor> {
        let params = parts.policy.online.params().detached();
        let act = self.policy.action(&params, obs)?;
        if mode == ActMode::Evaluate {
            return Ok(act);
        }
        let eps = normals.draw(act.shape(), act.device())?;
        noisy(&act, &eps, self.config.exploration_noise, f64::INFINITY)
    }

    fn update(
        &mut self,
        parts: &mut ActorCritic,
        batch: &Batch,
        metrics: &mut Metrics,
    ) -> Result<()> {
        let y = self.target(parts, batch)?;
        parts
            .critic
            .learn(batch, &y, self.config.critic_lr, metrics)?;
        if self.policy_due(parts.updates) {
            self.update_actor(parts, &batch.obs, metrics)?;
            parts.update_averages(self.config.off_policy.ema_tau)?;
        }
        Ok(())
    }

    fn kind(&self, updates: u64) -> Option<u64> {
        Some(u64::from(self.policy_due(updates)))
    }
}
