//! Critics, actor, temperature and targets in one update.

use advect_kernels::init::Init;
use advect_kernels::optim::AdamConfig;
use advect_kernels::scalars::Scalar;
use advect_kernels::{Activation, Params, random};
use advect_rl::critic::{soft_value, td_target};
use advect_rl::temperature::{sac_gradient, target_entropy};
use advect_rl::{
    ActMode, Batch, Learned, Metrics, Repeats, StateDict, StateError, Temperature, TwinCritic,
};
use advect_rng::Stream;
use candle_core::{Device, Result, Tensor};

use super::actor;
use super::config::SacConfig;
use super::policy::{GaussianPolicy, Squashed};
use crate::dims::Dims;
use crate::networks::{CriticSpec, drawn};

/// A summand that an algorithm adds to the actor's loss: a function of the policy and its parameters.
pub type Extra<'a> = dyn FnMut(Squashed<'_>) -> Result<Option<Tensor>> + 'a;

/// The whole algorithm but for where rewards come from.
#[derive(Debug)]
pub struct Learner {
    config: SacConfig,
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

impl Learner {
    /// Networks drawn from `seed`; streams are `{family}/...`.
    ///
    /// # Errors
    /// If a width is zero or the device fails.
    pub fn new(
        family: &str,
        config: &SacConfig,
        dims: Dims,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        let stream = |name: &str| Stream::new(seed, &format!("{family}/{name}"));
        let policy = GaussianPolicy::new(dims.obs, dims.act, &config.hidden)?;
        let init = stream("init");
        let actor = drawn(
            policy.layout(),
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
            explore: stream("explore"),
            learn: stream("learn"),
            device: device.clone(),
            updates: 0,
            config: config.clone(),
            dims,
            policy,
        })
    }

    /// The policy as it is now.
    pub fn policy(&self) -> Squashed<'_> {
        Squashed {
            policy: &self.policy,
            params: self.actor.params().tensor(),
        }
    }

    /// Updates made.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// An action of the policy for exploration, `tanh mu` for an evaluation.
    ///
    /// # Shapes
    /// `obs` `[n, o]` to `[n, d]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn act(&mut self, obs: &Tensor, mode: ActMode) -> Result<Tensor> {
        let params = self.actor.params().detached();
        if mode == ActMode::Evaluate {
            return self.policy.mode(&params, obs);
        }
        let shape = (obs.dim(0)?, self.dims.act);
        let eps = random::normal(&mut self.explore, shape, &self.device)?;
        Ok(self.policy.sample(&params, obs, &eps)?.action)
    }

    /// One update on a minibatch; `extra` is added to the actor's loss.
    ///
    /// # Errors
    /// On a shape mismatch, and what `extra` reports.
    pub fn update(&mut self, batch: &Batch, extra: &mut Extra) -> Result<Metrics> {
        let mut metrics = Metrics::new();
        let alpha = self.temperature.alpha()?;
        self.update_critic(batch, &alpha, &mut metrics)?;
        let log_prob = self.update_actor(&batch.obs, &alpha, extra, &mut metrics)?;
        self.update_temperature(&log_prob, &mut metrics)?;
        self.critic.update_target(self.config.off_policy.ema_tau)?;
        metrics.insert_scalar("temperature/alpha", &alpha)?;
        self.updates += 1;
        Ok(metrics)
    }

    /// All updates launch the same work.
    pub fn repeats(&mut self) -> Repeats<'_> {
        Repeats {
            kind: 0,
            streams: vec![&mut self.learn],
            updates: &mut self.updates,
        }
    }

    /// The noise of exploration.
    pub fn explores_with(&mut self) -> &mut Stream {
        &mut self.explore
    }

    fn noise(&mut self, rows: usize) -> Result<Tensor> {
        random::normal(&mut self.learn, (rows, self.dims.act), &self.device)
    }

    fn update_critic(
        &mut self,
        batch: &Batch,
        alpha: &Scalar,
        metrics: &mut Metrics,
    ) -> Result<()> {
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
    fn update_actor(
        &mut self,
        obs: &Tensor,
        alpha: &Scalar,
        extra: &mut Extra,
        metrics: &mut Metrics,
    ) -> Result<Tensor> {
        let eps = self.noise(obs.dim(0)?)?;
        let policy = (&self.policy, self.actor.params().tensor());
        let critic = (self.critic.net(), self.critic.online().tensor());
        let actor::ActorLoss {
            sample,
            mut loss,
            mut gradient,
            ..
        } = actor::loss(policy, critic, obs, &eps, alpha)?;
        if let Some(extra) = extra(self.policy())? {
            gradient = (gradient + self.actor.gradient(&extra)?)?;
            loss = (loss + extra)?;
        }
        let norm = self.actor.step(&gradient, self.config.actor_lr)?;
        metrics.insert_tensor("policy/loss", &loss)?;
        metrics.insert_tensor("policy/grad_norm", &norm)?;
        Ok(sample.log_prob)
    }

    fn update_temperature(&mut self, log_prob: &Tensor, metrics: &mut Metrics) -> Result<()> {
        metrics.insert_mean("temperature/entropy", &log_prob.neg()?)?;
        if !self.config.fix_alpha {
            let target = target_entropy(self.config.target_entropy_scale, self.dims.act);
            let gradient = sac_gradient(log_prob, target)?;
            self.temperature.step(&gradient, self.config.alpha_lr)?;
        }
        Ok(())
    }

    /// All parameters, targets included.
    pub(crate) fn buffers(&self) -> impl Iterator<Item = &Params> {
        let others = [self.actor.params(), self.temperature.log_alpha()];
        others.into_iter().chain(self.critic.buffers())
    }

    /// Writes parameters, optimisers, streams and the number of updates.
    ///
    /// # Errors
    /// If the device cannot be read.
    pub fn save(&self, out: &mut StateDict) -> std::result::Result<(), StateError> {
        out.put_scalar("updates", self.updates);
        self.actor.save("actor", out)?;
        self.critic.save("critic", out)?;
        self.temperature.save("temperature", out)?;
        out.put_stream("streams/explore", &self.explore);
        out.put_stream("streams/learn", &self.learn);
        Ok(())
    }

    /// Continues from what [`Learner::save`] wrote.
    ///
    /// # Errors
    /// If an entry is missing or has another shape.
    pub fn load(&mut self, from: &StateDict) -> std::result::Result<(), StateError> {
        self.actor.load("actor", from)?;
        self.critic.load("critic", from)?;
        self.temperature.load("temperature", from)?;
        self.explore = from.stream("streams/explore")?;
        self.learn = from.stream("streams/learn")?;
        self.updates = from.scalar("updates")?;
        Ok(())
    }
}
