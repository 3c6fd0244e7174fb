//! The algorithm: one iteration in the order of rldt.md section 5.

use advect_kernels::init::Init;
use advect_kernels::optim::AdamConfig;
use advect_kernels::{Activation, Params, random};
use advect_rl::{ActMode, Batch, EnvSpec, MeanMetrics, Metrics, StateDict, StateError, TrainError};
use candle_core::{DType, Device, Result, Tensor};

use super::config::{Reference, RewardScale, RldtConfig};
use super::critic::{action_gradient, disjoint_losses, next_value};
use super::critic_encoder::CriticEncoder;
use super::landing::{explored, sample};
use super::return_so_far::ReturnsSoFar;
use super::sequences::{Sequences, Shown};
use super::step::{PolicyStep, States, StepLoss, StepNoise};
use super::trajectories::{Shape, some_of};
use crate::dims::{Dims, Task};
use crate::error::AlgoError;
use crate::flow_actor::FlowActor;
use crate::normals::Normals;
use crate::off_policy::{ActorCritic, Networks, OffPolicyAgent, OffPolicyAlgorithm};
use crate::pretrained;
use crate::rows::repeat_rows;

/// Critics; each learns from its own share of the trajectories.
const CRITICS: usize = 2;

/// RLDT's equations, its bounds and the size of its rewards.
#[derive(Debug)]
pub struct Rldt {
    config: RldtConfig,
    actor: FlowActor,
    critic_encoder: CriticEncoder,
    /// Moving average of the mean size of a chunk's reward; 0 before the first reward.
    reward_size: f64,
    so_far: ReturnsSoFar,
}

/// The kept rollouts of an update.
struct Kept<'a> {
    batch: &'a Batch,
    shape: Shape,
    reward: Vec<f32>,
    /// What the episodes had collected before every row, where the critics see it.
    so_far: Option<Tensor>,
}

/// Fine-tuning of a flow policy by density transport.
pub type RldtAgent = OffPolicyAgent<Rldt>;

/// An agent whose parameters are drawn from `seed`, until the pretrained ones are read.
///
/// # Errors
/// If the configuration contradicts itself.
pub fn agent(
    config: RldtConfig,
    task: Task,
    seed: u64,
    device: &Device,
) -> std::result::Result<RldtAgent, AlgoError> {
    config.validate()?;
    let actor = FlowActor::new(task, &config.network, &config.image, config.n_steps)?
        .clipped(config.obs_clip);
    let dims = Dims {
        obs: actor.encoder.width() + usize::from(config.critic_sees_return),
        act: task.dims.act,
    };
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
    let parts = networks.draw("rldt", actor.layout(), dims, seed, device)?;
    let (table, settings) = (config.clone(), config.loop_settings());
    let rldt = Rldt {
        critic_encoder: CriticEncoder::of(&actor, parts.policy.online.params())?,
        actor,
        reward_size: 0.0,
        so_far: ReturnsSoFar::default(),
        config,
    };
    OffPolicyAgent::new("rldt", &table, settings, parts, rldt)
}

impl Rldt {
    /// Factor on rewards.
    pub fn reward_factor(&self) -> f64 {
        match self.config.reward_scale {
            RewardScale::MeanSize if self.reward_size > 0.0 => self.reward_size.recip(),
            RewardScale::MeanSize | RewardScale::One => 1.0,
        }
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

    /// The kept rollouts in `batch`.
    fn shape(&self, batch: &Batch) -> Result<Shape> {
        let (steps, envs) = (self.config.rollout_steps, self.config.num_envs);
        let rows = batch.obs.dim(0)?;
        if rows > 0 && rows.is_multiple_of(steps * envs) && batch.num_envs == envs {
            return Ok(Shape::of(rows, steps, envs));
        }
        Err(candle_core::Error::Msg(format!(
            "a batch of {rows} rows of {} environments holds no whole rollouts of {steps} steps of {envs}",
            batch.num_envs
        )))
    }

    /// What the rollouts in `batch` hold; the newest one is followed.
    fn kept<'a>(&mut self, batch: &'a Batch) -> Result<Kept<'a>> {
        let shape = self.shape(batch)?;
        let reward = batch.reward.to_vec1::<f32>()?;
        self.follow_rewards(&reward[reward.len() - shape.steps * shape.envs..]);
        let mut so_far = None;
        if self.config.critic_sees_return {
            let ended = (&batch.terminated + &batch.truncated)?.to_vec1::<f32>()?;
            let ended: Vec<bool> = ended.iter().map(|end| *end > 0.0).collect();
            let before = self.so_far.follow(shape, &reward, &ended);
            so_far = Some(Tensor::from_vec(before, reward.len(), batch.obs.device())?);
        }
        Ok(Kept {
            batch,
            shape,
            reward,
            so_far,
        })
    }

    fn pick(&self, parts: &mut ActorCritic, kept: &Kept<'_>) -> Result<Sequences> {
        let (share, balance) = (self.config.fresh_share, self.config.balance);
        let stream = &mut parts.streams.entropy;
        let picked = kept.shape.pick(share, balance, &kept.reward, stream);
        let rows = (kept.shape.rows(&picked), picked.len());
        let (actor, factor) = (&self.actor, self.reward_factor());
        let so_far = kept.so_far.as_ref();
        Sequences::of(kept.batch, (&rows.0, rows.1), actor, factor, so_far)
    }

    /// Fresh actions of the policy at the next states, drawn once per batch: `[B, S, A]`.
    fn next_actions(&self, parts: &mut ActorCritic, next_obs: &Tensor) -> Result<Tensor> {
        let (rows, device) = (next_obs.dim(0)?, next_obs.device());
        let shape = (rows, self.config.bootstrap_samples, self.actor.act.width());
        let x_0 = random::normal(&mut parts.streams.next_action, shape, device)?;
        let params = parts.policy.online.params().detached();
        self.actor.generate(&params, next_obs, &x_0)
    }

    /// The critics' steps on one batch (section 4).
    fn update_critics(
        &mut self,
        parts: &mut ActorCritic,
        batch: &Sequences,
        means: &mut MeanMetrics,
    ) -> Result<()> {
        let next_act = self.next_actions(parts, &batch.next.obs)?;
        let rows = batch.share_rows(CRITICS)?;
        let discount = (self.config.gamma, self.config.lambda);
        let returns = batch.returns(discount, self.config.time_limits)?;
        for _ in 0..self.config.critic_updates / self.config.repeats {
            let y = returns.of(&self.next_values(parts, batch, &next_act)?)?;
            let shifted = self.shifted(parts, &batch.now.obs)?;
            let states = batch.now.beside(self.critic_encoder.online(&shifted)?)?;
            let own = rows.iter().map(|rows| y.index_select(rows, 0));
            let own = own.collect::<Result<Vec<_>>>()?;
            let (net, critics) = (parts.critic.net(), parts.critic.online().tensor());
            let losses = disjoint_losses(net, critics, &batch.shares(&states, &rows)?, &own)?;
            let loss = Tensor::stack(&losses, 0)?.sum_all()?;
            let gradients = loss.backward()?;
            let gradient = parts.critic.gradient_in(&gradients)?;
            let norm = parts.critic.step(&gradient, self.config.critic_lr)?;
            self.critic_encoder
                .step(&gradients, self.config.critic_encoder_lr)?;
            parts.critic.update_target(self.config.ema_tau)?;
            self.critic_encoder.update_target(self.config.ema_tau)?;
            means.add_tensor("critic/grad_norm", &norm)?;
            means.add_tensor("critic/loss", &loss)?;
            means.add_tensor("critic/target", &y.mean_all()?)?;
        }
        Ok(())
    }

    /// Values of the batch's next states under the targets, `[T J]`.
    fn next_values(
        &self,
        parts: &mut ActorCritic,
        batch: &Sequences,
        next_act: &Tensor,
    ) -> Result<Tensor> {
        let clip = (self.config.q_min, self.config.q_max);
        let next = self.shifted(parts, &batch.next.obs)?;
        let next = batch.next.beside(self.critic_encoder.target(&next)?)?;
        let (net, targets) = (parts.critic.net(), parts.critic.target().detached());
        next_value(net, &targets, &next, next_act, clip)
    }

    /// Observations as the critics learn from them: frames shifted at random.
    fn shifted(&self, parts: &mut ActorCritic, obs: &Tensor) -> Result<Tensor> {
        let (pad, stream) = (self.config.image_shift, &mut parts.streams.entropy);
        self.actor.encoder.shifted(obs, pad, stream)
    }

    /// The loss of one policy step at `M` states (section 3).
    fn policy_loss(&self, parts: &mut ActorCritic, shown: &Shown) -> Result<StepLoss> {
        let obs = &shown.obs;
        let particles = self.config.particles;
        let shape = (obs.dim(0)?, particles, self.actor.act.width());
        let stream = &mut parts.streams.policy;
        let noise = StepNoise::draw(shape, self.config.n_steps, stream, obs.device())?;
        let step = PolicyStep {
            net: &self.actor.net,
            field: self.config.field(),
            coefficients: self.config.coefficients(),
        };
        let (net, critics) = (parts.critic.net(), parts.critic.online().tensor());
        let seen = shown.beside(self.critic_encoder.fixed(obs)?)?;
        let seen = repeat_rows(&seen, particles)?;
        let gradient = |_: &Tensor, act: &Tensor| action_gradient(net, critics, &seen, act);
        let policy = parts.policy.online.params().tensor();
        let reference = parts.policy.average().detached();
        let states = States {
            policy: &self.actor.states(policy, obs)?,
            reference: &self.actor.states(&reference, obs)?,
        };
        let policy = self.actor.velocity_params(policy)?;
        let reference = self.actor.velocity_params(&reference)?;
        step.loss_at(&policy, &reference, states, &noise, gradient)
    }

    /// One policy step at `M` states.
    fn update_policy(
        &self,
        parts: &mut ActorCritic,
        shown: &Shown,
        means: &mut MeanMetrics,
    ) -> Result<()> {
        let loss = self.policy_loss(parts, shown)?;
        let total = loss.terms.total()?;
        let schedule = self.config.policy_schedule();
        let norm = parts.policy.online.descend(&total, schedule)?;
        means.add_tensor("policy/grad_norm", &norm)?;
        means.add_scalar("policy/lr", &parts.policy.online.rate()?)?;
        means.add_tensor("policy/loss", &total)?;
        means.add_tensor("policy/transport_loss", &loss.terms.transport)?;
        means.add_tensor("policy/consistency_loss", &loss.terms.consistency)?;
        means.add_tensor("policy/anchor_loss", &loss.terms.anchor)?;
        let size = loss.targets.phi.sqr()?.sum(1)?.sqrt()?.mean_all()?;
        means.add_tensor("policy/field", &size)
    }

    /// The policy's steps on one batch: each at the states of an eighth of its trajectories, or of some random ones.
    fn update_policies(
        &self,
        parts: &mut ActorCritic,
        batch: &Sequences,
        means: &mut MeanMetrics,
    ) -> Result<()> {
        let every = self.config.particles;
        for f in 0..self.config.policy_updates / self.config.repeats {
            let rows = match self.config.policy_trajectories {
                0 => batch.rows(f % every.min(batch.count()), every)?,
                some => batch.rows_of(&some_of(batch.count(), some, &mut parts.streams.entropy))?,
            };
            self.update_policy(parts, &batch.now.rows(&rows)?, means)?;
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
        let (network, image) = (&self.config.network, &self.config.image);
        let weights = pretrained::load(path, network, image, env, &mut self.actor)?;
        let policy = parts.policy.online.params();
        policy.set_from_slice(&weights)?;
        self.critic_encoder = CriticEncoder::of(&self.actor, policy)?;
        Ok(parts.policy.update_average(1.0)?)
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
        let states = self.actor.states(&params, &self.actor.scaled(obs)?)?;
        let velocity = self.actor.velocity_params(&params)?;
        let RldtConfig {
            n_steps,
            explore_from,
            ..
        } = self.config;
        let x_0 = normals.draw(shape, device)?.unsqueeze(1)?;
        let step = normals.indices(explore_from as u32..n_steps as u32, shape.0, device)?;
        let field = self.actor.field(&velocity, &states);
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
        let kept = self.kept(batch)?;
        let mut means = MeanMetrics::default();
        for _ in 0..self.config.repeats {
            let batch = self.pick(parts, &kept)?;
            self.update_critics(parts, &batch, &mut means)?;
            if parts.updates >= self.config.critic_warmup {
                self.update_policies(parts, &batch, &mut means)?;
            }
        }
        self.update_reference(parts)?;
        metrics.extend(means.take()?);
        metrics.insert("critic/reward_scale", self.reward_factor());
        Ok(())
    }

    fn save(&self, out: &mut StateDict) -> std::result::Result<(), StateError> {
        self.actor.save(out);
        out.put_scalar("reward_size", self.reward_size);
        if self.config.critic_sees_return {
            self.so_far.save(out);
        }
        self.critic_encoder.save(out)
    }

    fn load(&mut self, from: &StateDict) -> std::result::Result<(), StateError> {
        self.actor.load(from)?;
        self.reward_size = from.scalar("reward_size")?;
        if self.config.critic_sees_return {
            self.so_far.load(from)?;
        }
        self.critic_encoder.load(from)
    }

    fn takes_frames(&self) -> bool {
        true
    }

    fn buffers(&self) -> Vec<&Params> {
        self.critic_encoder.buffers()
    }

    fn numbers(&self) -> Result<Vec<f64>> {
        Ok(vec![self.reward_size])
    }
}
