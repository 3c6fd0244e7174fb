//! The agent: critics, actor, temperature and targets in one update.

use advect_kernels::init::Init;
use advect_kernels::optim::AdamConfig;
use advect_kernels::{Activation, random};
use advect_rl::critic::{soft_value, td_target};
use advect_rl::temperature::{sac_gradient, target_entropy};
use advect_rl::{
    ActMode, Agent, Batch, Learned, LoopSettings, Metrics, StateDict, StateError, Temperature,
    TwinCritic,
};
use advect_rng::Stream;
use candle_core::{Device, Result, Tensor};

use super::actor;
use super::config::SacConfig;
use super::policy::GaussianPolicy;
use crate::dims::Dims;
use crate::error::AlgoError;
use crate::networks::{CriticSpec, drawn};

/// Soft actor-critic with a learned temperature.
#[derive(Debug)]
pub struct SacAgent {
    config: SacConfig,
    table: toml::Table,
    dims: Dims,
    device: Device,
    policy: GaussianPolicy,
    actor: Learned,
    critic: TwinCritic,
    temperature: Temperature,
    explore: Stream,
    learn: Stream,
    updates: u64,
}

impl SacAgent {
    /// An agent with parameters drawn from `seed`.
    ///
    /// # Errors
    /// If the configuration makes no sense.
    pub fn new(
        config: SacConfig,
        dims: Dims,
        seed: u64,
        device: &Device,
    ) -> std::result::Result<Self, AlgoError> {
        config.validate()?;
        let table = crate::registry::to_table("sac", &config)?;
        let policy = GaussianPolicy::new(dims.obs, dims.act, &config.hidden)?;
        let init = Stream::new(seed, "sac/init");
        let layout = policy.layout();
        let actor = drawn(
            layout,
            Init::FanInUniform,
            1.0,
            &mut init.fork("actor"),
            device,
        )?;
        let adam = AdamConfig::default();
        let critic = CriticSpec {
            hidden: &config.hidden,
            activation: Activation::Relu,
            init: Init::FanInUniform,
            adam,
        };
        Ok(Self {
            actor: Learned::new(actor, adam)?,
            critic: critic.build(dims, &init.fork("critic"), device)?,
            temperature: Temperature::new(config.init_alpha, adam, device)?,
            explore: Stream::new(seed, "sac/explore"),
            learn: Stream::new(seed, "sac/learn"),
            device: device.clone(),
            updates: 0,
            config,
            table,
            dims,
            policy,
        })
    }

    fn noise(&mut self, rows: usize) -> Result<Tensor> {
        random::normal(&mut self.learn, (rows, self.dims.act), &self.device)
    }

    fn update_critic(&mut self, batch: &Batch, alpha: f64, metrics: &mut Metrics) -> Result<()> {
        let eps = self.noise(batch.obs.dim(0)?)?;
        let params = self.actor.params().detached();
        let next = self.policy.sample(&params, &batch.next_obs, &eps)?;
        let q_next = self.critic.target_min_q(&batch.next_obs, &next.action)?;
        let value = soft_value(&q_next, &next.log_prob, alpha)?;
        let gamma = self.config.off_policy.gamma;
        let y = td_target(&batch.reward, &batch.terminated, &value, 1.0, gamma)?;
        self.critic
            .learn(batch, &y, self.config.critic_lr, metrics)?;
        Ok(())
    }

    /// One actor step; returns `log pi` of the sampled actions `[B]`.
    fn update_actor(&mut self, obs: &Tensor, alpha: f64, metrics: &mut Metrics) -> Result<Tensor> {
        let eps = self.noise(obs.dim(0)?)?;
        let sample = self
            .policy
            .sample(self.actor.params().tensor(), obs, &eps)?;
        let q = self.critic.min_q(obs, &sample.action)?;
        let loss = actor::loss(&sample.log_prob, &q, alpha)?;
        let norm = self.actor.descend(&loss, self.config.actor_lr)?;
        metrics.insert_tensor("policy/loss", &loss)?;
        metrics.insert("policy/grad_norm", norm);
        Ok(sample.log_prob.detach())
    }

    fn update_temperature(&mut self, log_prob: &Tensor, metrics: &mut Metrics) -> Result<()> {
        metrics.insert_tensor("temperature/entropy", &log_prob.mean_all()?.neg()?)?;
        if !self.config.fix_alpha {
            let target = target_entropy(self.config.target_entropy_scale, self.dims.act);
            let gradient = sac_gradient(log_prob, target)?;
            self.temperature.step(&gradient, self.config.alpha_lr)?;
        }
        Ok(())
    }
}

impl Agent for SacAgent {
    fn name(&self) -> &'static str {
        "sac"
    }

    fn loop_settings(&self) -> LoopSettings {
        self.config.off_policy.loop_settings()
    }

    fn act(&mut self, obs: &Tensor, mode: ActMode) -> Result<Tensor> {
        let params = self.actor.params().detached();
        if mode == ActMode::Evaluate {
            return self.policy.mode(&params, obs);
        }
        let shape = (obs.dim(0)?, self.dims.act);
        let eps = random::normal(&mut self.explore, shape, &self.device)?;
        Ok(self.policy.sample(&params, obs, &eps)?.action)
    }

    /// SAC's evaluation action is `tanh mu`: it draws nothing.
    fn begin_evaluation(&mut self, _: Stream) {}

    fn update(&mut self, batch: &Batch) -> Result<Metrics> {
        let mut metrics = Metrics::new();
        let alpha = self.temperature.alpha()?;
        self.update_critic(batch, alpha, &mut metrics)?;
        let log_prob = self.update_actor(&batch.obs, alpha, &mut metrics)?;
        self.update_temperature(&log_prob, &mut metrics)?;
        self.critic.update_target(self.config.off_policy.ema_tau)?;
        metrics.insert("temperature/alpha", alpha);
        self.updates += 1;
        Ok(metrics)
    }

    fn save(&self, out: &mut StateDict) -> std::result::Result<(), StateError> {
        out.put_scalar("updates", self.updates);
        self.actor.save("actor", out)?;
        self.critic.save("critic", out)?;
        self.temperature.save("temperature", out)?;
        out.put_stream("streams/explore", &self.explore);
        out.put_stream("streams/learn", &self.learn);
        Ok(())
    }

    fn load(&mut self, from: &StateDict) -> std::result::Result<(), StateError> {
        self.actor.load("actor", from)?;
        self.critic.load("critic", from)?;
        self.temperature.load("temperature", from)?;
        self.explore = from.stream("streams/explore")?;
        self.learn = from.stream("streams/learn")?;
        self.updates = from.scalar("updates")?;
        Ok(())
    }

    fn parameter_hash(&self) -> Result<u64> {
        let others = [self.actor.params(), self.temperature.log_alpha()];
        crate::hash::combined(others.into_iter().chain(self.critic.buffers()))
    }

    fn config_toml(&self) -> toml::Table {
        self.table.clone()
    }
}
