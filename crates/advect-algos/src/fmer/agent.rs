//! The agent: one update in the order of fmer.md section 8.

use advect_flow::VelocityNet;
use advect_kernels::optim::AdamConfig;
use advect_kernels::{Activation, Params, random};
use advect_rl::critic::{soft_value, td_target};
use advect_rl::{ActMode, Agent, Averaged, Batch, LoopSettings, Metrics, StateDict, StateError};
use advect_rng::Stream;
use candle_core::{Device, Result, Tensor};

use super::config::FmerConfig;
use super::critic::next_action;
use super::improvement::EntropyTerm;
use super::mirror::scalar;
use super::switches::{EntropyMode, Source};
use super::{dual, policy};
use crate::actor_critic::ActorCritic;
use crate::candidates::best;
use crate::dims::Dims;
use crate::error::AlgoError;
use crate::evaluation::normals_per_observation;
use crate::networks::{CriticSpec, HAIKU, drawn_with_last_layer};
use crate::streams::Streams;

/// A flow policy improved by mirror descent with an entropy constraint.
#[derive(Debug)]
pub struct FmerAgent {
    pub(super) config: FmerConfig,
    table: toml::Table,
    pub(super) dims: Dims,
    pub(super) device: Device,
    pub(super) net: VelocityNet,
    pub(super) parts: ActorCritic,
    log_alpha: f64,
    pub(super) log_temperature: f64,
    evaluation: Stream,
}

impl FmerAgent {
    /// An agent with parameters drawn from `seed`.
    ///
    /// # Errors
    /// If the configuration contradicts itself.
    pub fn new(
        config: FmerConfig,
        dims: Dims,
        seed: u64,
        device: &Device,
    ) -> std::result::Result<Self, AlgoError> {
        config.validate()?;
        let table = crate::registry::to_table("fmer", &config)?;
        let FmerConfig { hidden, n_freq, .. } = &config;
        let activation = config.activation.into();
        let net = policy::network(dims.obs, dims.act, hidden, activation, *n_freq)?;
        let init = Stream::new(seed, "fmer/init");
        let (layout, scale) = (net.layout().clone(), config.last_layer_scale);
        let policy = drawn_with_last_layer(layout, HAIKU, scale, &mut init.fork("policy"), device)?;
        let adam = AdamConfig {
            clip_norm: (config.grad_clip > 0.0).then_some(config.grad_clip),
            ..AdamConfig::default()
        };
        let critic = CriticSpec {
            hidden,
            activation: Activation::Mish,
            init: HAIKU,
            adam,
        };
        Ok(Self {
            parts: ActorCritic::new(
                Averaged::new(policy, adam)?,
                critic.build(dims, &init.fork("critic"), device)?,
                Streams::new("fmer", seed),
            ),
            log_alpha: config.init_alpha.ln(),
            log_temperature: config.init_temperature.ln(),
            evaluation: Stream::new(seed, "fmer/evaluation"),
            device: device.clone(),
            config,
            table,
            dims,
            net,
        })
    }

    /// The configuration.
    pub fn config(&self) -> &FmerConfig {
        &self.config
    }

    /// Multiplier of the entropy.
    pub fn alpha(&self) -> f64 {
        self.log_alpha.exp()
    }

    /// Temperature of the mirror step, in units of Q.
    pub fn temperature(&self) -> f64 {
        self.log_temperature.exp()
    }

    /// Parameters of the policy.
    pub fn policy(&self, source: Source) -> &Params {
        match source {
            Source::Online => self.parts.policy.online.params(),
            Source::Ema => self.parts.policy.average(),
        }
    }

    /// The best action of as many as there are noises `z` `[n, P, d]` per state.
    fn choose(&self, source: Source, obs: &Tensor, z: &Tensor) -> Result<Tensor> {
        let sampler = self.config.sampler();
        let params = self.policy(source).detached();
        let candidates = sampler.latents(&self.net, &params, obs, z)?.tanh()?;
        best(
            self.parts.critic.net(),
            self.parts.critic.online(),
            obs,
            &candidates,
            sampler.precision,
        )
    }

    fn explore(&mut self, obs: &Tensor) -> Result<Tensor> {
        let shape = (obs.dim(0)?, self.config.behaviour_best_of, self.dims.act);
        let z = random::normal(&mut self.parts.streams.explore, shape, &self.device)?;
        self.choose(self.config.acting_source, obs, &z)
    }

    fn evaluate(&self, obs: &Tensor) -> Result<Tensor> {
        let shape = (obs.dim(0)?, self.config.eval_best_of, self.dims.act);
        let z =
            normals_per_observation(&self.evaluation, obs, shape.1 * shape.2)?.reshape(shape)?;
        self.choose(self.config.acting_source, obs, &z)
    }

    /// Value of the next states under the averaged policy (section 7).
    fn next_value(&mut self, next_obs: &Tensor) -> Result<Tensor> {
        let (rows, d) = (next_obs.dim(0)?, self.dims.act);
        let entropy_off = self.config.entropy_mode_at(self.parts.updates) == EntropyMode::Off;
        if !self.config.soft_backup || entropy_off {
            let shape = (rows, self.config.td_best_of, d);
            let z = random::normal(&mut self.parts.streams.next_action, shape, &self.device)?;
            let action = self.choose(Source::Ema, next_obs, &z)?;
            return self.parts.critic.target_min_q(next_obs, &action);
        }
        let z = random::normal(&mut self.parts.streams.next_action, (rows, d), &self.device)?;
        let probe = self.density_probe(&z)?;
        let volume = self.config.log_prob.volume(&probe);
        let (params, sampler) = (
            self.parts.policy.average().detached(),
            self.config.sampler(),
        );
        let next = next_action(&self.net, &params, next_obs, &z, &sampler, volume)?;
        let q = self.parts.critic.target_min_q(next_obs, &next.action)?;
        soft_value(&q, &next.log_prob, self.alpha())
    }

    fn update_critic(&mut self, batch: &Batch, metrics: &mut Metrics) -> Result<()> {
        let value = self.next_value(&batch.next_obs)?;
        let (scale, gamma) = (self.config.reward_scale, self.config.off_policy.gamma);
        let y = td_target(&batch.reward, &batch.terminated, &value, scale, gamma)?;
        self.parts
            .critic
            .learn(batch, &y, self.config.critic_lr, metrics)?;
        Ok(())
    }

    fn update_policy(&mut self, batch: &Batch, metrics: &mut Metrics) -> Result<()> {
        let mode = self.config.entropy_mode_at(self.parts.updates);
        let pool = self.candidates(batch, mode, metrics)?;
        let weights = self.weigh(&batch.obs, &pool, metrics)?;
        let (wcfm, term) = self.losses(&batch.obs, &pool, &weights, mode)?;
        metrics.insert_tensor("policy/wcfm_loss", &wcfm)?;
        let loss = match &term.loss {
            None => wcfm,
            Some(entropy) => {
                metrics.insert_tensor("policy/entropy_loss", entropy)?;
                (wcfm + entropy)?
            }
        };
        self.parts.descend(&loss, self.config.policy_lr, metrics)?;
        self.update_alpha(&term, mode, metrics)
    }

    /// The multiplier's dual step (section 5.5).
    fn update_alpha(
        &mut self,
        term: &EntropyTerm,
        mode: EntropyMode,
        metrics: &mut Metrics,
    ) -> Result<()> {
        let entropy = scalar(&term.entropy)?;
        metrics.insert("temperature/entropy", entropy);
        metrics.insert_tensor("policy/divergence", &term.divergence)?;
        metrics.insert("temperature/alpha", self.alpha());
        if mode != EntropyMode::Off && !self.config.fix_alpha {
            let (target, lr) = (
                self.config.target_entropy(self.dims.act),
                self.config.alpha_lr,
            );
            let bounds = self.config.alpha_bounds();
            self.log_alpha = dual::alpha_step(self.log_alpha, entropy, target, lr, bounds);
        }
        Ok(())
    }
}

impl Agent for FmerAgent {
    fn name(&self) -> &'static str {
        "fmer"
    }

    fn loop_settings(&self) -> LoopSettings {
        self.config.off_policy.loop_settings()
    }

    fn act(&mut self, obs: &Tensor, mode: ActMode) -> Result<Tensor> {
        match mode {
            ActMode::Explore => self.explore(obs),
            ActMode::Evaluate => self.evaluate(obs),
        }
    }

    fn begin_evaluation(&mut self, stream: Stream) {
        self.evaluation = stream;
    }

    fn update(&mut self, batch: &Batch) -> Result<Metrics> {
        let mut metrics = Metrics::new();
        self.update_critic(batch, &mut metrics)?;
        self.update_policy(batch, &mut metrics)?;
        let tau = self.config.off_policy.ema_tau;
        self.parts.update_averages(tau)?;
        self.parts.updates += 1;
        Ok(metrics)
    }

    fn save(&self, out: &mut StateDict) -> std::result::Result<(), StateError> {
        self.parts.save(out)?;
        out.put_scalar("log_alpha", self.log_alpha);
        out.put_scalar("log_temperature", self.log_temperature);
        Ok(())
    }

    fn load(&mut self, from: &StateDict) -> std::result::Result<(), StateError> {
        self.parts.load(from)?;
        self.log_alpha = from.scalar("log_alpha")?;
        self.log_temperature = from.scalar("log_temperature")?;
        Ok(())
    }

    fn parameter_hash(&self) -> Result<u64> {
        let hash = crate::hash::combined(self.parts.buffers())?;
        let numbers = [self.log_alpha, self.log_temperature];
        Ok(crate::hash::with_numbers(hash, &numbers))
    }

    fn config_toml(&self) -> toml::Table {
        self.table.clone()
    }
}
