//! The agent: critics, actor, temperature and targets in one update.

use advect_kernels::optim::{Adam, AdamConfig};
use advect_kernels::{Activation, Params, init, random};
use advect_rl::critic::{td_loss, td_target};
use advect_rl::temperature::sac_gradient;
use advect_rl::{
    ActMode, Agent, Batch, CriticNet, LoopSettings, Metrics, StateDict, StateError, Temperature,
    TwinCritic,
};
use advect_rng::Stream;
use candle_core::{DType, Device, Result, Tensor};

use super::config::SacConfig;
use super::policy::GaussianPolicy;
use super::{actor, critic};
use crate::dims::Dims;
use crate::error::AlgoError;

/// Soft actor-critic with a learned temperature.
#[derive(Debug)]
pub struct SacAgent {
    config: SacConfig,
    table: toml::Table,
    dims: Dims,
    device: Device,
    policy: GaussianPolicy,
    actor: Params,
    actor_adam: Adam,
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
        let values = init::draw(&layout, init::Init::FanInUniform, &mut init.fork("actor"));
        let actor = Params::from_vec(layout, None, values, device)?;
        Ok(Self {
            actor_adam: Adam::new(&actor, AdamConfig::default())?,
            critic: critics(&config, dims, &init.fork("critic"), device)?,
            temperature: Temperature::new(config.init_alpha, AdamConfig::default(), device)?,
            explore: Stream::new(seed, "sac/explore"),
            learn: Stream::new(seed, "sac/learn"),
            device: device.clone(),
            updates: 0,
            config,
            table,
            dims,
            policy,
            actor,
        })
    }

    fn noise(&mut self, rows: usize) -> Result<Tensor> {
        random::normal(&mut self.learn, (rows, self.dims.act), &self.device)
    }

    fn update_critic(&mut self, batch: &Batch, alpha: f64, metrics: &mut Metrics) -> Result<()> {
        let eps = self.noise(batch.obs.dim(0)?)?;
        let next = self
            .policy
            .sample(&self.actor.detached(), &batch.next_obs, &eps)?;
        let net = self.critic.net();
        let q_next = net.min_q(
            &self.critic.target().detached(),
            &batch.next_obs,
            &next.action,
        )?;
        let value = critic::soft_value(&q_next, &next.log_prob, alpha)?;
        let y = td_target(
            &batch.reward,
            &batch.terminated,
            &value,
            1.0,
            self.config.gamma,
        )?;
        let q = net.q_values(self.critic.online().tensor(), &batch.obs, &batch.act)?;
        let loss = td_loss(&q, &y)?;
        let gradient = self.critic.gradient(&loss)?;
        let norm = self.critic.step(&gradient, self.config.critic_lr)?;
        metrics.insert("critic/loss", scalar(&loss)?);
        metrics.insert("critic/grad_norm", norm);
        metrics.insert("critic/q", scalar(&q.detach().mean_all()?)?);
        Ok(())
    }

    /// One actor step; returns `log pi` of the sampled actions `[B]`.
    fn update_actor(&mut self, obs: &Tensor, alpha: f64, metrics: &mut Metrics) -> Result<Tensor> {
        let eps = self.noise(obs.dim(0)?)?;
        let sample = self.policy.sample(self.actor.tensor(), obs, &eps)?;
        let q = self
            .critic
            .net()
            .min_q(&self.critic.online().detached(), obs, &sample.action)?;
        let loss = actor::loss(&sample.log_prob, &q, alpha)?;
        let gradients = loss.backward()?;
        let missing =
            || candle_core::Error::Msg("the actor loss does not depend on the actor".into());
        let gradient = gradients.get(self.actor.var()).ok_or_else(missing)?;
        let norm = self
            .actor_adam
            .step(&self.actor, gradient, self.config.actor_lr)?;
        metrics.insert("policy/loss", scalar(&loss)?);
        metrics.insert("policy/grad_norm", norm);
        Ok(sample.log_prob.detach())
    }

    fn update_temperature(&mut self, log_prob: &Tensor, metrics: &mut Metrics) -> Result<()> {
        metrics.insert("temperature/entropy", -scalar(&log_prob.mean_all()?)?);
        if !self.config.fix_alpha {
            let gradient = sac_gradient(log_prob, self.config.target_entropy(self.dims.act))?;
            self.temperature.step(&gradient, self.config.alpha_lr)?;
        }
        Ok(())
    }
}

fn critics(config: &SacConfig, dims: Dims, stream: &Stream, device: &Device) -> Result<TwinCritic> {
    let net = CriticNet::new(dims.obs, dims.act, &config.hidden, Activation::Relu)?;
    let layout = net.layout();
    let draw = |name: &str| init::draw(&layout, init::Init::FanInUniform, &mut stream.fork(name));
    let values = [draw("q1"), draw("q2")].concat();
    let online = Params::from_vec(layout.clone(), Some(2), values, device)?;
    TwinCritic::new(net, online, AdamConfig::default())
}

fn scalar(x: &Tensor) -> Result<f64> {
    x.to_dtype(DType::F64)?.to_scalar()
}

impl Agent for SacAgent {
    fn name(&self) -> &'static str {
        "sac"
    }

    fn loop_settings(&self) -> LoopSettings {
        self.config.loop_settings()
    }

    fn act(&mut self, obs: &Tensor, mode: ActMode) -> Result<Tensor> {
        let params = self.actor.detached();
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
        self.critic.update_target(self.config.ema_tau)?;
        metrics.insert("temperature/alpha", alpha);
        self.updates += 1;
        Ok(metrics)
    }

    fn save(&self, out: &mut StateDict) -> std::result::Result<(), StateError> {
        out.put_scalar("updates", self.updates);
        out.put_params("actor/params", &self.actor)?;
        out.put_adam("actor/adam", &self.actor_adam)?;
        self.critic.save("critic", out)?;
        self.temperature.save("temperature", out)?;
        out.put_stream("streams/explore", &self.explore);
        out.put_stream("streams/learn", &self.learn);
        Ok(())
    }

    fn load(&mut self, from: &StateDict) -> std::result::Result<(), StateError> {
        from.load_params("actor/params", &self.actor)?;
        from.load_adam("actor/adam", &mut self.actor_adam)?;
        self.critic.load("critic", from)?;
        self.temperature.load("temperature", from)?;
        self.explore = from.stream("streams/explore")?;
        self.learn = from.stream("streams/learn")?;
        self.updates = from.scalar("updates")?;
        Ok(())
    }

    fn parameter_hash(&self) -> Result<u64> {
        let critics = [self.critic.online(), self.critic.target()];
        let others = [&self.actor, self.temperature.log_alpha()];
        crate::hash::combined(others.into_iter().chain(critics))
    }

    fn config_toml(&self) -> toml::Table {
        self.table.clone()
    }
}
