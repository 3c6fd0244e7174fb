//! The algorithm: critics, improvement of the batch's actions, imitation of what they became.

use advect_flow::flow_matching::regression_loss;
use advect_kernels::{Activation, random};
use advect_rl::critic::td_target;
use advect_rl::{ActMode, Batch, Metrics, StateDict, StateError};
use candle_core::{Device, Result, Tensor};

use super::config::DipoConfig;
use super::improve::improve;
use super::store::ImprovedActions;
use crate::diffusion_policy::DiffusionPolicy;
use crate::dims::Dims;
use crate::error::AlgoError;
use crate::networks::HAIKU;
use crate::normals::Normals;
use crate::off_policy::{ActorCritic, Networks, OffPolicyAgent, OffPolicyAlgorithm};

/// DIPO's equations, and the improved actions.
#[derive(Debug)]
pub struct Dipo {
    config: DipoConfig,
    policy: DiffusionPolicy,
    improved: ImprovedActions,
}

/// DIPO.
pub type DipoAgent = OffPolicyAgent<Dipo>;

/// An agent with parameters drawn from `seed`.
///
/// # Errors
/// If the configuration makes no sense.
pub fn agent(
    config: DipoConfig,
    dims: Dims,
    seed: u64,
    device: &Device,
) -> std::result::Result<DipoAgent, AlgoError> {
    config.validate()?;
    let policy = config.diffusion.policy(dims)?;
    let networks = Networks::alike(
        &config.diffusion.hidden,
        Activation::Mish,
        HAIKU,
        config.adam(),
    );
    let parts = networks.draw("dipo", policy.layout().clone(), dims, seed, device)?;
    let settings = config.off_policy.loop_settings();
    let table = config.clone();
    let dipo = Dipo {
        improved: ImprovedActions::new(config.off_policy.replay_capacity, dims.act),
        config,
        policy,
    };
    OffPolicyAgent::new("dipo", &table, settings, parts, dipo)
}

impl Dipo {
    /// Q-learning with one action of the target policy at the next states.
    fn update_critic(
        &self,
        parts: &mut ActorCritic,
        batch: &Batch,
        metrics: &mut Metrics,
    ) -> Result<()> {
        let params = parts.policy.average().detached();
        let (next_obs, precision) = (&batch.next_obs, self.config.scoring.into());
        let normals = &mut Normals::Stream(&mut parts.streams.next_action);
        let next_act = self
            .policy
            .draw(&params, next_obs, 1, normals, precision)?
            .squeeze(1)?;
        let value = parts.critic.target_q(next_obs, &next_act)?;
        let gamma = self.config.off_policy.gamma;
        let y = td_target(&batch.reward, &batch.terminated, &value, 1.0, gamma)?;
        parts
            .critic
            .learn(batch, &y, self.config.critic_lr, metrics)?;
        Ok(())
    }

    /// Improves the batch's actions from where they stood, and keeps them.
    fn improve(
        &mut self,
        parts: &ActorCritic,
        batch: &Batch,
        metrics: &mut Metrics,
    ) -> Result<Tensor> {
        let (net, critics) = (parts.critic.net(), parts.critic.online().detached());
        let before = self.improved.read(&batch.numbers, &batch.act)?;
        let after = improve(net, &critics, &batch.obs, &before, self.config.ascent())?;
        self.improved.write(&batch.numbers, &after)?;
        let q = |act: &Tensor| net.min_q(&critics, &batch.obs, act);
        let gain = (q(&after)? - q(&before)?)?.mean_all()?;
        metrics.insert_tensor("policy/action_gain", &gain)?;
        let moved = (&after - &before)?.abs()?.mean_all()?;
        metrics.insert_tensor("policy/action_step", &moved)?;
        Ok(after)
    }

    /// The policy imitates the improved actions: the plain denoising loss.
    fn update_policy(
        &self,
        parts: &mut ActorCritic,
        obs: &Tensor,
        act: &Tensor,
        metrics: &mut Metrics,
    ) -> Result<()> {
        let stream = &mut parts.streams.policy;
        let k = self.policy.steps(stream, obs.dim(0)?, obs)?;
        let eps = random::normal(stream, act.shape(), act.device())?;
        let params = parts.policy.online.params().tensor();
        let denoised = self.policy.denoise(params, obs, act, &eps, &k)?;
        let loss = regression_loss(&denoised.predicted, &eps)?;
        parts.descend(&loss, self.config.policy_lr, metrics)
    }
}

impl OffPolicyAlgorithm for Dipo {
    /// One action of the online policy.
    fn act(
        &self,
        parts: &ActorCritic,
        obs: &Tensor,
        _: ActMode,
        normals: &mut Normals<'_>,
    ) -> Result<Tensor> {
        let params = parts.policy.online.params().detached();
        let precision = self.config.scoring.into();
        self.policy
            .draw(&params, obs, 1, normals, precision)?
            .squeeze(1)
    }

    fn update(
        &mut self,
        parts: &mut ActorCritic,
        batch: &Batch,
        metrics: &mut Metrics,
    ) -> Result<()> {
        self.update_critic(parts, batch, metrics)?;
        let act = self.improve(parts, batch, metrics)?;
        self.update_policy(parts, &batch.obs, &act, metrics)?;
        parts.update_averages(self.config.off_policy.ema_tau)
    }

    fn save(&self, out: &mut StateDict) -> std::result::Result<(), StateError> {
        self.improved.save("improved", out)
    }

    fn load(&mut self, from: &StateDict) -> std::result::Result<(), StateError> {
        self.improved.load("improved", from)
    }
}
