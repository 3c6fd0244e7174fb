//! The agent: critics every update, actor and targets every few.

use advect_kernels::init::Init;
use advect_kernels::optim::AdamConfig;
use advect_kernels::{Activation, random};
use advect_rl::critic::td_target;
use advect_rl::{
    ActMode, Agent, Averaged, Batch, LoopSettings, Metrics, StateDict, StateError, TwinCritic,
};
use advect_rng::Stream;
use candle_core::{Device, Result, Tensor};

use super::actor::{self, TanhPolicy};
use super::config::Td3Config;
use super::smoothing::noisy;
use crate::dims::Dims;
use crate::error::AlgoError;
use crate::networks::{CriticSpec, drawn};

/// Twin delayed deep deterministic policy gradient.
#[derive(Debug)]
pub struct Td3Agent {
    config: Td3Config,
    table: toml::Table,
    dims: Dims,
    device: Device,
    policy: TanhPolicy,
    actor: Averaged,
    critic: TwinCritic,
    explore: Stream,
    learn: Stream,
    updates: u64,
}

impl Td3Agent {
    /// An agent with parameters drawn from `seed`.
    ///
    /// # Errors
    /// If the configuration makes no sense.
    pub fn new(
        config: Td3Config,
        dims: Dims,
        seed: u64,
        device: &Device,
    ) -> std::result::Result<Self, AlgoError> {
        config.validate()?;
        let table = crate::registry::to_table("td3", &config)?;
        let policy = TanhPolicy::new(dims.obs, dims.act, &config.hidden)?;
        let init = Stream::new(seed, "td3/init");
        let layout = policy.layout();
        let actor = drawn(layout, Init::FanInUniform, &mut init.fork("actor"), device)?;
        let adam = AdamConfig::default();
        let critic = CriticSpec {
            hidden: &config.hidden,
            activation: Activation::Relu,
            init: Init::FanInUniform,
            adam,
        };
        Ok(Self {
            actor: Averaged::new(actor, adam)?,
            critic: critic.build(dims, &init.fork("critic"), device)?,
            explore: Stream::new(seed, "td3/explore"),
            learn: Stream::new(seed, "td3/learn"),
            device: device.clone(),
            updates: 0,
            config,
            table,
            dims,
            policy,
        })
    }

    /// `y = r + gamma (1 - terminated) min_e Q'_e(s', a')` with the target actor's action and noise on it.
    fn target(&mut self, batch: &Batch) -> Result<Tensor> {
        let shape = (batch.obs.dim(0)?, self.dims.act);
        let eps = random::normal(&mut self.learn, shape, &self.device)?;
        let target = self.actor.average().detached();
        let next_act = self.policy.action(&target, &batch.next_obs)?;
        let (std, clip) = (self.config.target_noise, self.config.target_noise_clip);
        let next_act = noisy(&next_act, &eps, std, clip)?;
        let value = self.critic.target_min_q(&batch.next_obs, &next_act)?;
        let gamma = self.config.off_policy.gamma;
        td_target(&batch.reward, &batch.terminated, &value, 1.0, gamma)
    }

    fn update_actor(&mut self, obs: &Tensor, metrics: &mut Metrics) -> Result<()> {
        let act = self
            .policy
            .action(self.actor.online.params().tensor(), obs)?;
        let loss = actor::loss(&self.critic.first_q(obs, &act)?)?;
        let norm = self.actor.online.descend(&loss, self.config.actor_lr)?;
        metrics.insert_tensor("policy/loss", &loss)?;
        metrics.insert("policy/grad_norm", norm);
        Ok(())
    }
}

impl Agent for Td3Agent {
    fn name(&self) -> &'static str {
        "td3"
    }

    fn loop_settings(&self) -> LoopSettings {
        self.config.off_policy.loop_settings()
    }

    fn act(&mut self, obs: &Tensor, mode: ActMode) -> Result<Tensor> {
        let params = self.actor.online.params().detached();
        let act = self.policy.action(&params, obs)?;
        if mode == ActMode::Evaluate {
            return Ok(act);
        }
        let eps = random::normal(&mut self.explore, act.shape(), &self.device)?;
        noisy(&act, &eps, self.config.exploration_noise, f64::INFINITY)
    }

    /// TD3's evaluation action is `tanh f(s)`: it draws nothing.
    fn begin_evaluation(&mut self, _: Stream) {}

    fn update(&mut self, batch: &Batch) -> Result<Metrics> {
        let mut metrics = Metrics::new();
        let y = self.target(batch)?;
        self.critic
            .learn(batch, &y, self.config.critic_lr, &mut metrics)?;
        self.updates += 1;
        if self.updates.is_multiple_of(self.config.delay_update) {
            self.update_actor(&batch.obs, &mut metrics)?;
            let tau = self.config.off_policy.ema_tau;
            self.critic.update_target(tau)?;
            self.actor.update_average(tau)?;
        }
        Ok(metrics)
    }

    fn save(&self, out: &mut StateDict) -> std::result::Result<(), StateError> {
        out.put_scalar("updates", self.updates);
        self.actor.save("actor", out)?;
        self.critic.save("critic", out)?;
        out.put_stream("streams/explore", &self.explore);
        out.put_stream("streams/learn", &self.learn);
        Ok(())
    }

    fn load(&mut self, from: &StateDict) -> std::result::Result<(), StateError> {
        self.actor.load("actor", from)?;
        self.critic.load("critic", from)?;
        self.explore = from.stream("streams/explore")?;
        self.learn = from.stream("streams/learn")?;
        self.updates = from.scalar("updates")?;
        Ok(())
    }

    fn parameter_hash(&self) -> Result<u64> {
        let buffers = self.actor.buffers().into_iter();
        crate::hash::combined(buffers.chain(self.critic.buffers()))
    }

    fn config_toml(&self) -> toml::Table {
        self.table.clone()
    }
}
