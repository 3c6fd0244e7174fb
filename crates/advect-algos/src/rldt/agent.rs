//! The algorithm: one iteration in the order of rldt.md section 5.

use advect_kernels::init::Init;
use advect_kernels::optim::AdamConfig;
use advect_kernels::{Activation, random};
use advect_rl::advantage::{Rollout, lambda_returns};
use advect_rl::{ActMode, Batch, EnvSpec, MeanMetrics, Metrics, StateDict, StateError, TrainError};
use candle_core::{DType, Device, Result, Tensor};

use super::config::{Reference, RewardScale, RldtConfig};
use super::critic::{Share, action_gradient, disjoint_losses, next_value};
use super::landing::{explored, sample, times};
use super::loss::{ActorLoss, Targets, actor_loss};
use super::pretrained;
use super::trajectories::Shape;
use crate::dims::Dims;
use crate::error::AlgoError;
use crate::flow_actor::FlowActor;
use crate::normals::Normals;
use crate::off_policy::{ActorCritic, Networks, OffPolicyAgent, OffPolicyAlgorithm};
use crate::rows::repeat_rows;

/// Critics; each learns from its own share of the trajectories.
const CRITICS: usize = 2;

/// RLDT's equations, its bounds and the size of its rewards.
#[derive(Debug)]
pub struct Rldt {
    config: RldtConfig,
    actor: FlowActor,
    /// Moving average of the mean size of a chunk's reward; 0 before the first reward.
    reward_size: f64,
}

/// Fine-tuning of a flow policy by density transport.
pub type RldtAgent = OffPolicyAgent<Rldt>;

/// An agent whose parameters are drawn from `seed`, until the pretrained ones are read.
///
/// # Errors
/// If the configuration contradicts itself.
pub fn agent(
    config: RldtConfig,
    dims: Dims,
    seed: u64,
    device: &Device,
) -> std::result::Result<RldtAgent, AlgoError> {
    config.validate()?;
    let net = config.network.build(dims)?;
    let layout = net.layout().clone();
    let networks = Networks {
        hidden: &config.critic_hidden,
        activation: Activation::Silu,
        init: Init::FanInUniform,
        critic_init: Init::Normal { std: 0.1 },
        last_layer_scale: 1.0,
        adam: AdamConfig {
            clip_norm: (config.grad_clip > 0.0).then_some(config.grad_clip),
            ..AdamConfig::default()
        },
        critic_adam: AdamConfig::default(),
    };
    let parts = networks.draw("rldt", layout, dims, seed, device)?;
    let (table, settings) = (config.clone(), config.loop_settings());
    let rldt = Rldt {
        actor: FlowActor::new(net, config.n_steps, dims),
        reward_size: 0.0,
        config,
    };
    OffPolicyAgent::new("rldt", &table, settings, parts, rldt)
}

/// Trajectories of one batch, `T J` rows step by step, normalised.
struct Picked {
    obs: Tensor,
    act: Tensor,
    next_obs: Tensor,
    reward: Vec<f32>,
    terminated: Vec<f32>,
    truncated: Vec<f32>,
    trajectories: usize,
}

impl Picked {
    /// Rows of the trajectories `first`, `first + every`, ...
    fn rows_of(&self, first: usize, every: usize, device: &Device) -> Result<Tensor> {
        let steps = self.reward.len() / self.trajectories;
        let rows: Vec<u32> = (0..steps)
            .flat_map(|t| {
                let own = (first..self.trajectories).step_by(every);
                own.map(move |j| (t * self.trajectories + j) as u32)
            })
            .collect();
        Tensor::from_vec(rows.clone(), rows.len(), device)
    }
}

impl Rldt {
    /// Factor on rewards.
    pub fn reward_factor(&self) -> f64 {
        match self.config.reward_scale {
            RewardScale::MeanSize if self.reward_size > 0.0 => self.reward_size.recip(),
            RewardScale::MeanSize | RewardScale::One => 1.0,
        }
    }

    /// The bounds in which the policy works.
    pub fn actor(&self) -> &FlowActor {
        &self.actor
    }

    /// Follows the mean size of the rewards of the fresh rollout.
    fn follow_rewards(&mut self, reward: &[f32]) {
        let mean = reward.iter().map(|r| f64::from(r.abs())).sum::<f64>() / reward.len() as f64;
        let rate = self.config.reward_rate;
        self.reward_size = match self.reward_size {
            0.0 => mean,
            size => size + rate * (mean - size),
        };
    }

    fn pick(&self, parts: &mut ActorCritic, batch: &Batch, reward: &[f32]) -> Result<Picked> {
        let RldtConfig {
            rollout_steps,
            num_envs,
            fresh_share,
            balance,
            ..
        } = self.config;
        let shape = Shape::of(reward.len(), rollout_steps, num_envs);
        let picked = shape.pick(fresh_share, balance, reward, &mut parts.streams.policy);
        let rows = shape.rows(&picked);
        let index = Tensor::from_slice(&rows, rows.len(), batch.obs.device())?;
        let of = |x: &Tensor| x.index_select(&index, 0);
        let factor = self.reward_factor();
        Ok(Picked {
            obs: self.actor.obs.normalise(&of(&batch.obs)?)?,
            act: self.actor.act.normalise(&of(&batch.act)?)?,
            next_obs: self.actor.obs.normalise(&of(&batch.next_obs)?)?,
            reward: (of(&batch.reward)? * factor)?.to_vec1()?,
            terminated: of(&batch.terminated)?.to_vec1()?,
            truncated: of(&batch.truncated)?.to_vec1()?,
            trajectories: picked.len(),
        })
    }

    /// Fresh actions of the policy at the next states, drawn once per batch: `[B, S, A]`.
    fn next_actions(&self, parts: &mut ActorCritic, next_obs: &Tensor) -> Result<Tensor> {
        let (rows, device) = (next_obs.dim(0)?, next_obs.device());
        let shape = (rows, self.config.bootstrap_samples, self.actor.act.width());
        let x_0 = random::normal(&mut parts.streams.next_action, shape, device)?;
        let params = parts.policy.online.params().detached();
        self.actor.generate(&params, next_obs, &x_0)
    }

    /// Lambda returns of a batch from the present target critics (section 4).
    fn targets(&self, parts: &ActorCritic, picked: &Picked, next_act: &Tensor) -> Result<Tensor> {
        let clip = (self.config.q_min, self.config.q_max);
        let (net, targets) = (parts.critic.net(), parts.critic.target().detached());
        let value = next_value(net, &targets, &picked.next_obs, next_act, clip)?;
        let rollout = Rollout {
            reward: &picked.reward,
            value: &[],
            next_value: &value.to_vec1::<f32>()?,
            terminated: &picked.terminated,
            truncated: &picked.truncated,
            num_envs: picked.trajectories,
        };
        let RldtConfig {
            gamma,
            lambda,
            time_limits,
            ..
        } = self.config;
        let y = lambda_returns(&rollout, gamma, lambda, time_limits);
        Tensor::from_vec(y, picked.reward.len(), next_act.device())
    }

    fn update_critic(
        &self,
        parts: &mut ActorCritic,
        picked: &Picked,
        next_act: &Tensor,
        means: &mut MeanMetrics,
    ) -> Result<()> {
        let y = self.targets(parts, picked, next_act)?;
        let share = |e: usize| {
            let rows = picked.rows_of(e, CRITICS, y.device())?;
            Ok(Share {
                obs: picked.obs.index_select(&rows, 0)?,
                act: picked.act.index_select(&rows, 0)?,
                y: y.index_select(&rows, 0)?,
            })
        };
        // with a single trajectory both critics see it
        let critics = CRITICS.min(picked.trajectories);
        let shares = (0..CRITICS)
            .map(|e| share(e % critics))
            .collect::<Result<Vec<_>>>()?;
        let params = parts.critic.online().tensor();
        let losses = disjoint_losses(parts.critic.net(), params, &shares)?;
        let loss = Tensor::stack(&losses, 0)?.sum_all()?;
        let gradient = parts.critic.gradient(&loss)?;
        let norm = parts.critic.step(&gradient, self.config.critic_lr)?;
        parts.critic.update_target(self.config.ema_tau)?;
        means.add("critic/grad_norm", norm);
        means.add_tensor("critic/loss", &loss)?;
        means.add_tensor("critic/target", &y.mean_all()?)
    }

    /// The policy's loss at states `[M, o]` (section 3).
    fn policy_loss(&self, parts: &mut ActorCritic, obs: &Tensor) -> Result<(ActorLoss, Tensor)> {
        let RldtConfig {
            n_steps, particles, ..
        } = self.config;
        let (states, device, width) = (obs.dim(0)?, obs.device(), self.actor.act.width());
        let stream = &mut parts.streams.policy;
        let noise = random::normal(stream, (states, particles, width), device)?;
        let step = random::indices(stream, n_steps as u32, (states, particles), device)?;
        let params = parts.policy.online.params();
        let found = {
            let params = params.detached();
            sample(&self.actor.field(&params, obs), &noise, &step, n_steps)?
        };
        let rows = repeat_rows(obs, particles)?;
        let flat = |x: &Tensor| x.flatten(0, 1);
        let field = self.config.field();
        let at = match field.takes_landing_gradients() {
            true => &found.landing,
            false => &found.action,
        };
        let (net, critics) = (parts.critic.net(), parts.critic.online().detached());
        let g = action_gradient(net, &critics, &rows, &flat(at)?)?.reshape(at.shape())?;
        let last = step.eq(n_steps as u32 - 1)?.to_dtype(DType::F32)?;
        let phi = field.at(&found.landing, &found.action, &g, &last)?.phi;
        let action = flat(&found.action)?;
        let anchor_tau = times(
            &random::indices(stream, n_steps as u32, rows.dim(0)?, device)?,
            n_steps,
        )?;
        let z = random::normal(stream, action.shape(), device)?;
        let anchor = advect_flow::TimeConvention::DataUp.interpolate(&action, &z, &anchor_tau)?;
        let velocity = |params: &Tensor, x: &Tensor, tau: &Tensor| {
            self.actor.net.forward(params, &rows, x, [tau])
        };
        let targets = Targets {
            v_ref: velocity(&parts.policy.average().detached(), &anchor, &anchor_tau)?,
            point: flat(&found.point)?,
            tau: found.tau.flatten_all()?,
            phi: flat(&phi)?,
            action,
        };
        let v = velocity(params.tensor(), &targets.point, &targets.tau)?;
        let v_anchor = velocity(params.tensor(), &anchor, &anchor_tau)?;
        let loss = actor_loss(&v, &v_anchor, &targets, self.config.coefficients())?;
        let size = targets.phi.sqr()?.sum(1)?.sqrt()?.mean_all()?;
        Ok((loss, size))
    }

    fn update_policy(
        &self,
        parts: &mut ActorCritic,
        obs: &Tensor,
        means: &mut MeanMetrics,
    ) -> Result<()> {
        let (loss, field) = self.policy_loss(parts, obs)?;
        let total = loss.total()?;
        let lr = self.config.policy_schedule();
        let lr = lr.at(parts.policy.online.steps());
        means.add("policy/grad_norm", parts.policy.online.descend(&total, lr)?);
        means.add("policy/lr", lr);
        means.add_tensor("policy/loss", &total)?;
        means.add_tensor("policy/transport_loss", &loss.transport)?;
        means.add_tensor("policy/consistency_loss", &loss.consistency)?;
        means.add_tensor("policy/anchor_loss", &loss.anchor)?;
        means.add_tensor("policy/field", &field)
    }

    /// One batch: its share of the critic's and of the policy's steps.
    fn repeat(
        &self,
        parts: &mut ActorCritic,
        batch: &Batch,
        reward: &[f32],
        means: &mut MeanMetrics,
    ) -> Result<()> {
        let picked = self.pick(parts, batch, reward)?;
        let next_act = self.next_actions(parts, &picked.next_obs)?;
        let repeats = self.config.repeats;
        for _ in 0..self.config.critic_updates.div_ceil(repeats) {
            self.update_critic(parts, &picked, &next_act, means)?;
        }
        if parts.updates < self.config.critic_warmup {
            return Ok(());
        }
        let every = self.config.particles;
        for f in 0..self.config.policy_updates.div_ceil(repeats) {
            let first = f % every.min(picked.trajectories);
            let rows = picked.rows_of(first, every, picked.obs.device())?;
            self.update_policy(parts, &picked.obs.index_select(&rows, 0)?, means)?;
        }
        Ok(())
    }

    fn update_reference(&self, parts: &ActorCritic) -> Result<()> {
        match self.config.reference {
            Reference::LastIteration => parts.policy.update_average(1.0),
            Reference::Ema => parts.policy.update_average(self.config.reference_tau),
            Reference::Pretrained => Ok(()),
        }
    }
}

impl OffPolicyAlgorithm for Rldt {
    fn prepare(
        &mut self,
        parts: &mut ActorCritic,
        env: &EnvSpec,
        fresh: bool,
    ) -> std::result::Result<(), TrainError> {
        if !fresh || self.config.pretrained.is_empty() {
            return Ok(());
        }
        let path = std::path::Path::new(&self.config.pretrained);
        pretrained::load(path, &self.config, env, &mut self.actor, &mut parts.policy)
    }

    /// An end point of the flow; to explore, with noise in proportion to how far an intermediate point lands from it.
    fn act(
        &self,
        parts: &ActorCritic,
        obs: &Tensor,
        mode: ActMode,
        normals: &mut Normals<'_>,
    ) -> Result<Tensor> {
        let (shape, device) = ((obs.dim(0)?, self.actor.act.width()), obs.device());
        let params = parts.policy.online.params().detached();
        if mode == ActMode::Evaluate {
            let x_0 = match self.config.zero_noise_eval {
                true => Tensor::zeros(shape, DType::F32, device)?,
                false => normals.draw(shape, device)?,
            };
            return self.actor.act(&params, obs, &x_0);
        }
        let obs = self.actor.obs.normalise(obs)?;
        let RldtConfig {
            n_steps,
            explore_from,
            ..
        } = self.config;
        let x_0 = normals.draw(shape, device)?.unsqueeze(1)?;
        let step = normals.indices(explore_from as u32..n_steps as u32, shape.0, device)?;
        let field = self.actor.field(&params, &obs);
        let found = sample(&field, &x_0, &step.unsqueeze(1)?, n_steps)?;
        let (action, landing) = (found.action.squeeze(1)?, found.landing.squeeze(1)?);
        let eps = normals.draw(shape, device)?;
        self.actor.act.restore(&explored(&action, &landing, &eps)?)
    }

    fn update(
        &mut self,
        parts: &mut ActorCritic,
        batch: &Batch,
        metrics: &mut Metrics,
    ) -> Result<()> {
        let reward = batch.reward.to_vec1::<f32>()?;
        let fresh = self.config.rollout_steps * self.config.num_envs;
        self.follow_rewards(&reward[reward.len().saturating_sub(fresh)..]);
        let mut means = MeanMetrics::default();
        for _ in 0..self.config.repeats {
            self.repeat(parts, batch, &reward, &mut means)?;
        }
        self.update_reference(parts)?;
        metrics.extend(means.take());
        metrics.insert("critic/reward_scale", self.reward_factor());
        Ok(())
    }

    fn save(&self, out: &mut StateDict) -> std::result::Result<(), StateError> {
        self.actor.save(out);
        out.put_scalar("reward_size", self.reward_size);
        Ok(())
    }

    fn load(&mut self, from: &StateDict) -> std::result::Result<(), StateError> {
        self.actor.load(from)?;
        self.reward_size = from.scalar("reward_size")?;
        Ok(())
    }

    fn numbers(&self) -> Vec<f64> {
        vec![self.reward_size]
    }
}
