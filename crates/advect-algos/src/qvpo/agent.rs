//! The agent: critics, then the policy, then the averages.

use advect_kernels::init::Init;
use advect_kernels::{Activation, Precision, random};
use advect_rl::critic::td_target;
use advect_rl::{ActMode, Agent, Averaged, Batch, LoopSettings, Metrics, StateDict, StateError};
use advect_rng::Stream;
use candle_core::{Device, Result, Tensor};

use super::config::QvpoConfig;
use super::loss::{RowNoise, actions, weighted};
use super::weights;
use crate::actor_critic::ActorCritic;
use crate::candidates::{best, rank};
use crate::diffusion_policy::DiffusionPolicy;
use crate::dims::Dims;
use crate::error::AlgoError;
use crate::networks::{CriticSpec, drawn};
use crate::streams::Streams;

/// Truncated normal with standard deviation `1 / (2 sqrt(fan_in))`, zero biases, in all networks.
const INIT: Init = Init::TruncatedNormal { scale: 0.5 };

/// QVPO.
#[derive(Debug)]
pub struct QvpoAgent {
    config: QvpoConfig,
    table: toml::Table,
    dims: Dims,
    device: Device,
    policy: DiffusionPolicy,
    parts: ActorCritic,
    evaluation: Stream,
}

impl QvpoAgent {
    /// An agent with parameters drawn from `seed`.
    ///
    /// # Errors
    /// If the configuration makes no sense.
    pub fn new(
        config: QvpoConfig,
        dims: Dims,
        seed: u64,
        device: &Device,
    ) -> std::result::Result<Self, AlgoError> {
        config.validate()?;
        let table = crate::registry::to_table("qvpo", &config)?;
        let policy = config.diffusion.policy(dims)?;
        let init = Stream::new(seed, "qvpo/init");
        let layout = policy.layout().clone();
        let actor = drawn(layout, INIT, &mut init.fork("policy"), device)?;
        let critic = CriticSpec {
            hidden: &config.diffusion.hidden,
            activation: Activation::Mish,
            init: INIT,
            adam: config.adam(),
        };
        Ok(Self {
            parts: ActorCritic::new(
                Averaged::new(actor, config.adam())?,
                critic.build(dims, &init.fork("critic"), device)?,
                Streams::new("qvpo", seed),
            ),
            evaluation: Stream::new(seed, "qvpo/evaluation"),
            device: device.clone(),
            config,
            table,
            dims,
            policy,
        })
    }

    fn precision(&self) -> Precision {
        self.config.scoring.into()
    }

    fn explore(&mut self, obs: &Tensor) -> Result<Tensor> {
        let (per_state, precision) = (self.config.behaviour_best_of, self.precision());
        let params = self.parts.policy.online.params().detached();
        let stream = &mut self.parts.streams.explore;
        let candidates = self
            .policy
            .explore(&params, obs, per_state, stream, precision)?;
        best(
            self.parts.critic.net(),
            self.parts.critic.online(),
            obs,
            &candidates,
            precision,
        )
    }

    fn evaluate(&self, obs: &Tensor) -> Result<Tensor> {
        let (per_state, precision) = (self.config.eval_best_of, self.precision());
        let params = self.parts.policy.online.params().detached();
        let base = &self.evaluation;
        let candidates = self
            .policy
            .evaluate(&params, obs, per_state, base, precision)?;
        best(
            self.parts.critic.net(),
            self.parts.critic.online(),
            obs,
            &candidates,
            precision,
        )
    }

    /// `min Q̄(s', a')`, `a'` the best of the target policy's actions under the target critics `[B]`.
    fn next_value(&mut self, next_obs: &Tensor) -> Result<Tensor> {
        let (per_state, precision) = (self.config.td_best_of, self.precision());
        let params = self.parts.policy.average().detached();
        let stream = &mut self.parts.streams.next_action;
        let candidates = self
            .policy
            .explore(&params, next_obs, per_state, stream, precision)?;
        let (net, critics) = (self.parts.critic.net(), self.parts.critic.target());
        let next_act = best(net, critics, next_obs, &candidates, precision)?;
        self.parts.critic.target_min_q(next_obs, &next_act)
    }

    fn update_critic(&mut self, batch: &Batch, metrics: &mut Metrics) -> Result<()> {
        let value = self.next_value(&batch.next_obs)?;
        let gamma = self.config.off_policy.gamma;
        let ends = match self.config.truncation_ends {
            true => batch.terminated.maximum(&batch.truncated)?,
            false => batch.terminated.clone(),
        };
        let y = td_target(&batch.reward, &ends, &value, 1.0, gamma)?;
        self.parts
            .critic
            .learn(batch, &y, self.config.critic_lr, metrics)?;
        Ok(())
    }

    /// Actions `[B, R, d]` that the policy learns, and their weights `[B, R]`.
    fn targets(&mut self, obs: &Tensor, metrics: &mut Metrics) -> Result<(Tensor, Tensor)> {
        let (per_state, precision) = (self.config.num_candidates, self.precision());
        let params = self.parts.policy.online.params().detached();
        let stream = &mut self.parts.streams.policy;
        let candidates = self
            .policy
            .explore(&params, obs, per_state, stream, precision)?;
        let critics = self.parts.critic.online().detached();
        let ranked = rank(
            self.parts.critic.net(),
            &critics,
            obs,
            &candidates,
            precision,
        )?;
        let (rows, m) = (obs.dim(0)?, self.config.num_uniform);
        let shape = (rows, m, self.dims.act);
        let uniform = random::uniform(
            &mut self.parts.streams.entropy,
            -1.0,
            1.0,
            shape,
            &self.device,
        )?;
        let omega = weights::advantage(&ranked.score)?;
        let entropy_coef = self.config.entropy_coefficient(self.parts.updates);
        metrics.insert_tensor("policy/advantage", &omega.mean_all()?)?;
        metrics.insert("policy/entropy_coef", entropy_coef);
        let weights = weights::of_rows(&omega, entropy_coef, m)?;
        Ok((actions(&ranked.action, &uniform)?, weights))
    }

    fn update_policy(&mut self, obs: &Tensor, metrics: &mut Metrics) -> Result<()> {
        let (act, weights) = self.targets(obs, metrics)?;
        let stream = &mut self.parts.streams.policy;
        let noise = RowNoise {
            k: self.policy.steps(stream, weights.shape(), obs)?,
            eps: random::normal(stream, act.shape(), &self.device)?,
        };
        let params = self.parts.policy.online.params().tensor();
        let loss = weighted(&self.policy, params, obs, &act, &weights, &noise)?.loss;
        self.parts.descend(&loss, self.config.policy_lr, metrics)
    }
}

impl Agent for QvpoAgent {
    fn name(&self) -> &'static str {
        "qvpo"
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
        self.update_policy(&batch.obs, &mut metrics)?;
        let tau = self.config.off_policy.ema_tau;
        self.parts.update_averages(tau)?;
        self.parts.updates += 1;
        Ok(metrics)
    }

    fn save(&self, out: &mut StateDict) -> std::result::Result<(), StateError> {
        self.parts.save(out)
    }

    fn load(&mut self, from: &StateDict) -> std::result::Result<(), StateError> {
        self.parts.load(from)
    }

    fn parameter_hash(&self) -> Result<u64> {
        crate::hash::combined(self.parts.buffers())
    }

    fn config_toml(&self) -> toml::Table {
        self.table.clone()
    }
}
