//! The agent: critics, then better actions, then the policy that imitates them, then the averages.

use advect_flow::flow_matching::regression_loss;
use advect_kernels::{Activation, random};
use advect_rl::critic::td_target;
use advect_rl::{ActMode, Agent, Averaged, Batch, LoopSettings, Metrics, StateDict, StateError};
use advect_rng::Stream;
use candle_core::{Device, Result, Tensor};

use super::config::DipoConfig;
use super::improve::improve;
use super::store::ImprovedActions;
use crate::actor_critic::ActorCritic;
use crate::diffusion_policy::DiffusionPolicy;
use crate::dims::Dims;
use crate::error::AlgoError;
use crate::networks::{CriticSpec, HAIKU, drawn};
use crate::streams::Streams;

/// DIPO.
#[derive(Debug)]
pub struct DipoAgent {
    config: DipoConfig,
    table: toml::Table,
    policy: DiffusionPolicy,
    parts: ActorCritic,
    improved: ImprovedActions,
    evaluation: Stream,
}

impl DipoAgent {
    /// An agent with parameters drawn from `seed`.
    ///
    /// # Errors
    /// If the configuration makes no sense.
    pub fn new(
        config: DipoConfig,
        dims: Dims,
        seed: u64,
        device: &Device,
    ) -> std::result::Result<Self, AlgoError> {
        config.validate()?;
        let table = crate::registry::to_table("dipo", &config)?;
        let policy = config.diffusion.policy(dims)?;
        let init = Stream::new(seed, "dipo/init");
        let layout = policy.layout().clone();
        let actor = drawn(layout, HAIKU, &mut init.fork("policy"), device)?;
        let critic = CriticSpec {
            hidden: &config.diffusion.hidden,
            activation: Activation::Mish,
            init: HAIKU,
            adam: config.adam(),
        };
        Ok(Self {
            parts: ActorCritic::new(
                Averaged::new(actor, config.adam())?,
                critic.build(dims, &init.fork("critic"), device)?,
                Streams::new("dipo", seed),
            ),
            improved: ImprovedActions::new(config.off_policy.replay_capacity, dims.act),
            evaluation: Stream::new(seed, "dipo/evaluation"),
            config,
            table,
            policy,
        })
    }

    /// Q-learning with one action of the target policy at the next states.
    fn update_critic(&mut self, batch: &Batch, metrics: &mut Metrics) -> Result<()> {
        let params = self.parts.policy.average().detached();
        let (next_obs, precision) = (&batch.next_obs, self.config.scoring.into());
        let stream = &mut self.parts.streams.next_action;
        let next_act = self
            .policy
            .explore(&params, next_obs, 1, stream, precision)?
            .squeeze(1)?;
        let value = self.parts.critic.target_min_q(next_obs, &next_act)?;
        let gamma = self.config.off_policy.gamma;
        let y = td_target(&batch.reward, &batch.terminated, &value, 1.0, gamma)?;
        self.parts
            .critic
            .learn(batch, &y, self.config.critic_lr, metrics)?;
        Ok(())
    }

    /// Improves the batch's actions from where they stood, and keeps them.
    fn improve(&mut self, batch: &Batch, metrics: &mut Metrics) -> Result<Tensor> {
        let (net, critics) = (
            self.parts.critic.net(),
            self.parts.critic.online().detached(),
        );
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
    fn update_policy(&mut self, obs: &Tensor, act: &Tensor, metrics: &mut Metrics) -> Result<()> {
        let stream = &mut self.parts.streams.policy;
        let k = self.policy.steps(stream, obs.dim(0)?, obs)?;
        let eps = random::normal(stream, act.shape(), act.device())?;
        let params = self.parts.policy.online.params().tensor();
        let denoised = self.policy.denoise(params, obs, act, &eps, &k)?;
        let loss = regression_loss(&denoised.predicted, &eps)?;
        self.parts.descend(&loss, self.config.policy_lr, metrics)
    }
}

impl Agent for DipoAgent {
    fn name(&self) -> &'static str {
        "dipo"
    }

    fn loop_settings(&self) -> LoopSettings {
        self.config.off_policy.loop_settings()
    }

    /// One action of the online policy.
    fn act(&mut self, obs: &Tensor, mode: ActMode) -> Result<Tensor> {
        let params = self.parts.policy.online.params().detached();
        let precision = self.config.scoring.into();
        let stream = &mut self.parts.streams.explore;
        let one = match mode {
            ActMode::Explore => self.policy.explore(&params, obs, 1, stream, precision)?,
            ActMode::Evaluate => {
                let base = &self.evaluation;
                self.policy.evaluate(&params, obs, 1, base, precision)?
            }
        };
        one.squeeze(1)
    }

    fn begin_evaluation(&mut self, stream: Stream) {
        self.evaluation = stream;
    }

    fn update(&mut self, batch: &Batch) -> Result<Metrics> {
        let mut metrics = Metrics::new();
        self.update_critic(batch, &mut metrics)?;
        let act = self.improve(batch, &mut metrics)?;
        self.update_policy(&batch.obs, &act, &mut metrics)?;
        let tau = self.config.off_policy.ema_tau;
        self.parts.update_averages(tau)?;
        self.parts.updates += 1;
        Ok(metrics)
    }

    fn save(&self, out: &mut StateDict) -> std::result::Result<(), StateError> {
        self.parts.save(out)?;
        self.improved.save("improved", out)?;
        Ok(())
    }

    fn load(&mut self, from: &StateDict) -> std::result::Result<(), StateError> {
        self.parts.load(from)?;
        self.improved.load("improved", from)?;
        Ok(())
    }

    fn parameter_hash(&self) -> Result<u64> {
        crate::hash::combined(self.parts.buffers())
    }

    fn config_toml(&self) -> toml::Table {
        self.table.clone()
    }
}
