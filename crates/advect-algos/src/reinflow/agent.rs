//! The agent: acting with noise, and learning from the chains of a rollout.

use std::ops::ControlFlow;
use std::path::Path;

use advect_kernels::init::Init;
use advect_kernels::{Activation, Mlp, ParamLayout, Params, random};
use advect_rl::advantage::{explained_variance, normalised};
use advect_rl::{
    ActMode, Agent, Batch, Demonstrations, EnvSpec, Learned, LoopSettings, Metrics,
    RewardNormalizer, StateDict, StateError, TrainError,
};
use advect_rng::Stream;
use candle_core::{DType, Device, Result, Tensor};

use super::chain::NoisyChain;
use super::config::ReinFlowConfig;
use super::loss::{losses, state_value};
use super::network::NoisyFlow;
use crate::dims::Dims;
use crate::encoder::ImageNetwork;
use crate::error::AlgoError;
use crate::flow_actor::FlowActor;
use crate::networks::drawn;
use crate::normals::Normals;
use crate::ppo::experience::check_envs;
use crate::ppo::loss::Rows;
use crate::ppo::report::Report;
use crate::ppo::{Experience, surrogate};
use crate::pretrained;

/// Fine-tuning of a flow policy by policy gradients on noisy chains.
///
/// Chains are not stored: within a rollout parameters and bounds stay as they are, so an update draws the noise of the whole rollout
/// again from a copy of the stream and makes the same chains in one pass.
#[derive(Debug)]
pub struct ReinFlowAgent {
    config: ReinFlowConfig,
    table: toml::Table,
    device: Device,
    nets: NoisyFlow,
    policy: Learned,
    value_net: Mlp,
    value: Learned,
    reward_normalizer: RewardNormalizer,
    explore: Stream,
    /// As it was at the start of the rollout.
    explore_at_start: Stream,
    shuffle: Stream,
    evaluation: Stream,
    updates: u64,
}

impl ReinFlowAgent {
    /// An agent whose parameters are drawn from `seed`, until the pretrained ones are read.
    ///
    /// # Errors
    /// If the configuration contradicts itself.
    pub fn new(
        config: ReinFlowConfig,
        dims: Dims,
        seed: u64,
        device: &Device,
    ) -> std::result::Result<Self, AlgoError> {
        config.validate()?;
        let stream = |name: &str| Stream::new(seed, &format!("reinflow/{name}"));
        let draw = |layout, name: &str| {
            let (init, mut stream) = (Init::FanInUniform, stream(&format!("init/{name}")));
            drawn(layout, init, 1.0, &mut stream, device)
        };
        let image = ImageNetwork::default();
        let actor = FlowActor::new(dims.into(), &config.network, &image, config.n_steps)?
            .clipped(config.obs_clip);
        let nets = NoisyFlow::new(actor, dims, &config.noise_hidden)?;
        let sizes = [&[dims.obs], config.critic_hidden.as_slice(), &[1]].concat();
        let value_net = Mlp::new(&sizes, Activation::Mish)?;
        let mut value_layout = ParamLayout::new();
        value_net.push_layout(&mut value_layout, "value");
        let (policy, value) = (
            draw(nets.layout().clone(), "policy")?,
            draw(value_layout.into(), "value")?,
        );
        let (envs, gamma, clip) = (config.num_envs, config.gamma, config.reward_clip);
        Ok(Self {
            table: crate::registry::to_table("reinflow", &config)?,
            device: device.clone(),
            nets,
            policy: Learned::new(policy, config.adam(0.0))?,
            value_net,
            value: Learned::new(value, config.adam(config.critic_weight_decay))?,
            reward_normalizer: RewardNormalizer::new(envs, gamma, clip)?,
            explore: stream("explore"),
            explore_at_start: stream("explore"),
            shuffle: stream("shuffle"),
            evaluation: stream("evaluation"),
            updates: 0,
            config,
        })
    }

    /// Parameters of the flow, then those of the noise.
    pub fn policy(&self) -> &Params {
        self.policy.params()
    }

    /// The chain of the present iteration.
    pub fn chain(&self) -> NoisyChain<'_> {
        NoisyChain {
            nets: &self.nets,
            rules: self.config.rules(),
            bounds: self.config.annealing().at(self.updates),
        }
    }

    /// `V` of scaled observations with constant parameters.
    fn state_value(&self, obs: &Tensor) -> Result<Tensor> {
        state_value(&self.value_net, &self.value.params().detached(), obs)
    }

    /// The chains of the rollout at scaled observations `[T E, o]`, made again: `[T E, K + 1, A]`.
    fn rollout_chains(&self, obs: &Tensor) -> Result<Tensor> {
        let mut stream = self.explore_at_start.clone();
        let (envs, shape) = (
            self.config.num_envs,
            self.nets.noise_shape(self.config.num_envs),
        );
        // a draw begins a new block of the stream: step by step, as when it acted
        let steps = 0..obs.dim(0)? / envs;
        let draws = steps.map(|_| random::normal(&mut stream, shape, &self.device));
        let noise = Tensor::cat(&draws.collect::<Result<Vec<_>>>()?, 0)?;
        self.chain().sample(&self.policy().detached(), obs, &noise)
    }

    /// A rollout in the units of the networks, chains in the place of actions.
    fn take_in(&self, batch: &Batch) -> Result<Experience> {
        check_envs(self.config.num_envs, batch.num_envs)?;
        let actor = &self.nets.actor;
        let obs = actor.scaled(&batch.obs)?;
        Ok(Experience {
            act: self.rollout_chains(&obs)?,
            next_obs: actor.scaled(&batch.next_obs)?,
            terminated: batch.terminated.to_vec1()?,
            truncated: batch.truncated.to_vec1()?,
            num_envs: batch.num_envs,
            obs,
        })
    }

    /// Rewards in the units of the value.
    fn rewards(&mut self, batch: &Batch, experience: &Experience) -> Result<Vec<f32>> {
        let mut reward = batch.reward.to_vec1()?;
        if self.config.normalize_reward {
            let ended = experience.ended();
            self.reward_normalizer.follow(&mut reward, &ended)?;
        }
        Ok(reward)
    }

    /// What the parameters that acted say of a rollout.
    fn rows(&self, experience: &Experience, reward: &[f32], out: &mut Metrics) -> Result<Rows> {
        let (obs, chains) = (&experience.obs, &experience.act);
        let params = self.policy().detached();
        let likelihood = self.chain().likelihood(&params, obs, chains)?;
        out.insert_tensor("policy/sigma", &likelihood.sigma)?;
        let at_end = self.state_value(&experience.next_obs)?;
        let (value, discount) = (self.state_value(obs)?, self.config.discount());
        experience.rows(reward, likelihood.log_prob, value, &at_end, discount)
    }

    /// All passes over a rollout, or as many as the divergence allows; the number of steps made.
    fn learn(&mut self, rows: &Rows, report: &mut Report) -> Result<u64> {
        let count = rows.advantage.elem_count();
        let minibatches = self.config.num_minibatches.min(count);
        let mut steps = 0;
        for _ in 0..self.config.epochs {
            let order = random::permutation(&mut self.shuffle, count, &self.device)?;
            for i in 0..minibatches {
                let mut minibatch = rows.minibatch(&order, i, minibatches)?;
                let eps = self.config.advantage_eps;
                minibatch.advantage = normalised(&minibatch.advantage, 1, eps)?;
                steps += 1;
                if self.step(&minibatch, report)?.is_break() {
                    return Ok(steps);
                }
            }
        }
        Ok(steps)
    }

    /// A step of policy and value; breaks if the policy was too far from the one that acted.
    fn step(&mut self, rows: &Rows, report: &mut Report) -> Result<ControlFlow<()>> {
        let params = (self.policy().tensor(), self.value.params().tensor());
        let coefficients = self.config.coefficients();
        let losses = losses(&self.chain(), &self.value_net, params, rows, &coefficients)?;
        let gradients = losses.total.backward()?;
        let [policy_lr, critic_lr] = self.config.schedules().map(|s| s.at(self.updates));
        let gradient = self.policy.gradient_in(&gradients)?;
        let norm = self.policy.step(&gradient, policy_lr)?;
        let gradient = self.value.gradient_in(&gradients)?;
        self.value.step(&gradient, critic_lr)?;
        report.add(&losses, self.config.clip, norm)?;
        let kl = surrogate::kl(&losses.log_ratio.detach())?.to_scalar::<f32>()?;
        let limit = self.config.target_kl;
        Ok(match limit > 0.0 && f64::from(kl) > limit {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        })
    }

    /// Largest difference between the actions of a rollout and those of its chains.
    fn redraw_error(&self, batch: &Batch, chains: &Tensor) -> Result<f64> {
        let actor = &self.nets.actor;
        let again = actor.act.restore(&self.chain().action(chains)?)?;
        let error = (again - &batch.act)?.abs()?.max_all()?;
        Ok(error.to_scalar::<f32>()?.into())
    }
}

impl Agent for ReinFlowAgent {
    fn name(&self) -> &'static str {
        "reinflow"
    }

    fn loop_settings(&self) -> LoopSettings {
        self.config.loop_settings()
    }

    fn prepare(
        &mut self,
        env: &EnvSpec,
        fresh: bool,
    ) -> std::result::Result<Option<Demonstrations>, TrainError> {
        if !fresh || self.config.pretrained.is_empty() {
            return Ok(None);
        }
        let path = Path::new(&self.config.pretrained);
        let actor = &mut self.nets.actor;
        let image = ImageNetwork::default();
        let weights = pretrained::load(path, &self.config.network, &image, env, actor)?;
        let mut values = self.policy().to_vec()?;
        let noise = values.split_off(weights.len());
        self.policy().set_from_slice(&[weights, noise].concat())?;
        Ok(None)
    }

    /// The end of a noisy chain to explore, of the flow alone in an evaluation.
    fn act(&mut self, obs: &Tensor, mode: ActMode) -> Result<Tensor> {
        let (rows, params) = (obs.dim(0)?, self.policy().detached());
        let obs = &self.nets.actor.scaled(obs)?;
        let shape = (rows, self.nets.actor.act.width());
        let action = match mode {
            ActMode::Explore => {
                let shape = self.nets.noise_shape(rows);
                let noise = random::normal(&mut self.explore, shape, &self.device)?;
                let chain = self.chain();
                chain.action(&chain.sample(&params, obs, &noise)?)?
            }
            ActMode::Evaluate if self.config.zero_noise_eval => {
                let x_0 = Tensor::zeros(shape, DType::F32, &self.device)?;
                self.chain().flow(&params, obs, &x_0)?
            }
            ActMode::Evaluate => {
                let mut normals = Normals::per_observation(&self.evaluation, obs)?;
                let x_0 = normals.draw(shape, &self.device)?;
                self.chain().flow(&params, obs, &x_0)?
            }
        };
        self.nets.actor.act.restore(&action)
    }

    fn begin_evaluation(&mut self, stream: Stream) {
        self.evaluation = stream;
    }

    fn update(&mut self, batch: &Batch) -> Result<Metrics> {
        let experience = self.take_in(batch)?;
        let reward = self.rewards(batch, &experience)?;
        let mut metrics = Metrics::new();
        let rows = self.rows(&experience, &reward, &mut metrics)?;
        let error = self.redraw_error(batch, &experience.act)?;
        metrics.insert("policy/redraw_error", error);
        metrics.insert("policy/sigma_max", self.chain().bounds.high);
        let [policy_lr, critic_lr] = self.config.schedules().map(|s| s.at(self.updates));
        metrics.insert("policy/lr", policy_lr);
        metrics.insert("value/lr", critic_lr);
        let mut report = Report::default();
        let steps = self.learn(&rows, &mut report)?;
        metrics.insert("policy/steps", steps as f64);
        metrics.extend(report.metrics()?);
        let (returns, value) = (rows.returns.to_vec1()?, rows.value.to_vec1()?);
        if let Some(explained) = explained_variance(&returns, &value) {
            metrics.insert("value/explained_variance", explained);
        }
        self.updates += 1;
        self.explore_at_start = self.explore.clone();
        Ok(metrics)
    }

    fn save(&self, out: &mut StateDict) -> std::result::Result<(), StateError> {
        self.policy.save("policy", out)?;
        self.value.save("value", out)?;
        self.nets.actor.save(out);
        self.reward_normalizer.save("normalizers/reward", out);
        out.put_stream("streams/explore", &self.explore);
        out.put_stream("streams/explore_at_start", &self.explore_at_start);
        out.put_stream("streams/shuffle", &self.shuffle);
        out.put_scalar("updates", self.updates);
        Ok(())
    }

    fn load(&mut self, from: &StateDict) -> std::result::Result<(), StateError> {
        self.policy.load("policy", from)?;
        self.value.load("value", from)?;
        self.nets.actor.load(from)?;
        self.reward_normalizer.load("normalizers/reward", from)?;
        self.explore = from.stream("streams/explore")?;
        self.explore_at_start = from.stream("streams/explore_at_start")?;
        self.shuffle = from.stream("streams/shuffle")?;
        self.updates = from.scalar("updates")?;
        Ok(())
    }

    fn parameter_hash(&self) -> Result<u64> {
        crate::hash::combined([self.policy(), self.value.params()])
    }

    fn config_toml(&self) -> toml::Table {
        self.table.clone()
    }
}
