//! The algorithm: one update in the order of fmer.md section 8.

use advect_flow::VelocityNet;
use advect_kernels::optim::AdamConfig;
use advect_kernels::scalars::Scalar;
use advect_kernels::{Activation, Params};
use advect_rl::critic::{soft_value, td_target};
use advect_rl::temperature::target_entropy;
use advect_rl::{ActMode, Batch, Metrics, StateDict, StateError};
use candle_core::{Device, Result, Tensor};

use super::config::FmerConfig;
use super::critic::next_action;
use super::improvement::EntropyTerm;
use super::switches::{Controller, EntropyMode, Source, TemperatureRule};
use super::{dual, policy};
use crate::dims::Dims;
use crate::error::AlgoError;
use crate::networks::HAIKU;
use crate::normals::Normals;
use crate::off_policy::{ActorCritic, Networks, OffPolicyAgent, OffPolicyAlgorithm};

/// FMER's equations, and the two numbers that its dual steps move.
#[derive(Debug)]
pub struct Fmer {
    pub(super) config: FmerConfig,
    pub(super) net: VelocityNet,
    log_alpha: Scalar,
    pub(super) log_temperature: Scalar,
}

/// A flow policy improved by mirror descent with an entropy constraint.
pub type FmerAgent = OffPolicyAgent<Fmer>;

/// An agent with parameters drawn from `seed`.
///
/// # Errors
/// If the configuration contradicts itself.
pub fn agent(
    config: FmerConfig,
    dims: Dims,
    seed: u64,
    device: &Device,
) -> std::result::Result<FmerAgent, AlgoError> {
    config.validate()?;
    let FmerConfig { hidden, n_freq, .. } = &config;
    let activation = config.activation.into();
    let net = policy::network(dims.obs, dims.act, hidden, activation, *n_freq)?;
    let adam = AdamConfig {
        clip_norm: (config.grad_clip > 0.0).then_some(config.grad_clip),
        ..AdamConfig::default()
    };
    let networks = Networks {
        last_layer_scale: config.last_layer_scale,
        ..Networks::alike(hidden, Activation::Mish, HAIKU, adam)
    };
    let parts = networks.draw("fmer", net.layout().clone(), dims, seed, device)?;
    let settings = config.off_policy.loop_settings();
    let table = config.clone();
    let fmer = Fmer {
        log_alpha: Scalar::on(device, config.init_alpha.ln())?,
        log_temperature: Scalar::on(device, config.init_temperature.ln())?,
        config,
        net,
    };
    OffPolicyAgent::new("fmer", &table, settings, parts, fmer)
}

/// Parameters of the policy.
pub fn parameters(parts: &ActorCritic, source: Source) -> &Params {
    match source {
        Source::Online => parts.policy.online.params(),
        Source::Ema => parts.policy.average(),
    }
}

impl Fmer {
    /// Multiplier of the entropy; a CUDA device is not waited for.
    ///
    /// # Errors
    /// If the device fails.
    pub fn alpha(&self) -> Result<Scalar> {
        self.log_alpha.exp()
    }

    /// Temperature of the mirror step, in units of Q; a CUDA device is not waited for.
    ///
    /// # Errors
    /// If the device fails.
    pub fn temperature(&self) -> Result<Scalar> {
        self.log_temperature.exp()
    }

    /// The best of `count` actions per state.
    fn choose(
        &self,
        parts: &ActorCritic,
        (source, count): (Source, usize),
        obs: &Tensor,
        normals: &mut Normals<'_>,
    ) -> Result<Tensor> {
        let sampler = self.config.sampler();
        let z = normals.draw((obs.dim(0)?, count, self.net.act_dim()), obs.device())?;
        let params = parameters(parts, source).detached();
        let candidates = sampler.latents(&self.net, &params, obs, &z)?.tanh()?;
        parts.best(obs, &candidates, sampler.precision, None)
    }

    /// Value of the next states under the averaged policy (section 7), or that of each critic, of which the least counts.
    fn next_value(&self, parts: &mut ActorCritic, next_obs: &Tensor) -> Result<Tensor> {
        let mut stream = parts.streams.next_action.clone();
        let normals = &mut Normals::Stream(&mut stream);
        let entropy_off = self.config.entropy_mode_at(parts.updates) == EntropyMode::Off;
        let value = if !self.config.soft_backup || entropy_off {
            let policy = (Source::Ema, self.config.td_best_of);
            let action = self.choose(parts, policy, next_obs, normals)?;
            parts.critic.target_q(next_obs, &action)?
        } else {
            let z = normals.draw((next_obs.dim(0)?, self.net.act_dim()), next_obs.device())?;
            let probe = self.density_probe(parts, &z)?;
            let volume = self.config.log_prob.with(&probe);
            let (params, sampler) = (parts.policy.average().detached(), self.config.sampler());
            let next = next_action(&self.net, &params, next_obs, &z, &sampler, volume)?;
            let q = parts.critic.target_min_q(next_obs, &next.action)?;
            soft_value(&q, &next.log_prob, self.alpha()?)?
        };
        parts.streams.next_action = stream;
        Ok(value)
    }

    fn update_critic(
        &self,
        parts: &mut ActorCritic,
        batch: &Batch,
        metrics: &mut Metrics,
    ) -> Result<()> {
        let value = self.next_value(parts, &batch.next_obs)?;
        let (scale, gamma) = (self.config.reward_scale, self.config.off_policy.gamma);
        let y = td_target(&batch.reward, &batch.terminated, &value, scale, gamma)?;
        parts
            .critic
            .learn(batch, &y, self.config.critic_lr, metrics)?;
        Ok(())
    }

    fn update_policy(
        &mut self,
        parts: &mut ActorCritic,
        batch: &Batch,
        metrics: &mut Metrics,
    ) -> Result<()> {
        let mode = self.config.entropy_mode_at(parts.updates);
        let pool = self.candidates(parts, batch, mode, metrics)?;
        let weights = self.weigh(parts, &batch.obs, &pool, metrics)?;
        let (wcfm, term) = self.losses(parts, &batch.obs, &pool, &weights, mode)?;
        metrics.insert_tensor("policy/wcfm_loss", &wcfm)?;
        let loss = match &term.loss {
            None => wcfm,
            Some(entropy) => {
                metrics.insert_tensor("policy/entropy_loss", entropy)?;
                (wcfm + entropy)?
            }
        };
        parts.descend(&loss, self.config.policy_lr, metrics)?;
        self.update_alpha(&term, mode, metrics)
    }

    /// The multiplier's dual step (section 5.5).
    fn update_alpha(
        &mut self,
        term: &EntropyTerm,
        mode: EntropyMode,
        metrics: &mut Metrics,
    ) -> Result<()> {
        metrics.insert_tensor("temperature/entropy", &term.entropy)?;
        metrics.insert_tensor("policy/divergence", &term.divergence)?;
        metrics.insert_scalar("temperature/alpha", &self.alpha()?)?;
        if mode != EntropyMode::Off && !self.config.fix_alpha {
            let target = target_entropy(self.config.target_entropy_scale, self.net.act_dim());
            let (lr, bounds) = (self.config.alpha_lr, self.config.alpha_bounds());
            let entropy = Scalar::of(&term.entropy)?;
            let moved = dual::alpha_step(&self.log_alpha, &entropy, target, lr, bounds)?;
            self.log_alpha.assign(moved)?;
        }
        Ok(())
    }
}

impl OffPolicyAlgorithm for Fmer {
    fn act(
        &self,
        parts: &ActorCritic,
        obs: &Tensor,
        mode: ActMode,
        normals: &mut Normals<'_>,
    ) -> Result<Tensor> {
        let count = match mode {
            ActMode::Explore => self.config.behaviour_best_of,
            ActMode::Evaluate => self.config.eval_best_of,
        };
        self.choose(parts, (self.config.acting_source, count), obs, normals)
    }

    fn update(
        &mut self,
        parts: &mut ActorCritic,
        batch: &Batch,
        metrics: &mut Metrics,
    ) -> Result<()> {
        self.update_critic(parts, batch, metrics)?;
        self.update_policy(parts, batch, metrics)?;
        parts.update_averages(self.config.off_policy.ema_tau)
    }

    /// The entropy's way into an update. An update that solves for its temperature reads the scores, and is not repeated.
    fn kind(&self, updates: u64) -> Option<u64> {
        let FmerConfig {
            temperature,
            ess_controller,
            ..
        } = self.config;
        let solves = temperature == TemperatureRule::Ess && ess_controller == Controller::Bisection;
        (!solves).then(|| self.config.entropy_mode_at(updates) as u64)
    }

    fn save(&self, out: &mut StateDict) -> std::result::Result<(), StateError> {
        out.put_scalar("log_alpha", self.log_alpha.read()?);
        out.put_scalar("log_temperature", self.log_temperature.read()?);
        Ok(())
    }

    fn load(&mut self, from: &StateDict) -> std::result::Result<(), StateError> {
        self.log_alpha.set(from.scalar("log_alpha")?)?;
        Ok(self.log_temperature.set(from.scalar("log_temperature")?)?)
    }

    fn numbers(&self) -> Result<Vec<f64>> {
        Ok(vec![self.log_alpha.read()?, self.log_temperature.read()?])
    }
}
