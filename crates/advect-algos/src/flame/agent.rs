//! The agent: one update in the order of flame.md section 8.

use advect_kernels::optim::AdamConfig;
use advect_kernels::{Activation, Params, random};
use advect_rl::critic::td_target;
use advect_rl::temperature::entropy_gradient;
use advect_rl::{
    ActMode, Agent, Averaged, Batch, LoopSettings, Metrics, StateDict, StateError, TwinCritic,
};
use advect_rng::Stream;
use candle_core::{Device, Result, Tensor};

use super::act::{Generation, best_of};
use super::config::{FlameConfig, LossRows, TdEntropy, Trace, Variant};
use super::critic::soft_value;
use super::entropy::{Estimator, mean_flow_entropy, rectified_flow_entropy};
use super::proposals::{ProposalNoise, Proposals, propose};
use super::{policy_m, policy_r};
use crate::actor_critic::ActorCritic;
use crate::alpha::AlphaState;
use crate::candidates::{effective_fraction, softmax_weights};
use crate::dims::Dims;
use crate::error::AlgoError;
use crate::evaluation::normals_per_observation;
use crate::generator::Generator;
use crate::networks::{CriticSpec, HAIKU, drawn};
use crate::streams::Streams;

/// FLAME-M or FLAME-R.
#[derive(Debug)]
pub struct FlameAgent {
    variant: Variant,
    config: FlameConfig,
    table: toml::Table,
    dims: Dims,
    device: Device,
    generator: Generator,
    parts: ActorCritic,
    alpha: AlphaState,
    evaluation: Stream,
}

/// Flow times of a policy loss: `tau` for FLAME-R, `(r, t)` for FLAME-M.
struct Times {
    r: Option<Tensor>,
    t: Tensor,
}

/// The algorithm's name on the command line.
fn name(variant: Variant) -> &'static str {
    match variant {
        Variant::M => "flame-m",
        Variant::R => "flame-r",
    }
}

impl FlameAgent {
    /// An agent with parameters drawn from `seed`.
    ///
    /// # Errors
    /// If the configuration contradicts itself.
    pub fn new(
        variant: Variant,
        config: FlameConfig,
        dims: Dims,
        seed: u64,
        device: &Device,
    ) -> std::result::Result<Self, AlgoError> {
        config.validate(variant)?;
        let table = crate::registry::to_table(name(variant), &config)?;
        let generator = Generator::new(variant, dims.obs, dims.act, &config.hidden)?;
        let init = Stream::new(seed, "flame/init");
        let layout = generator.layout().clone();
        let policy = drawn(layout, HAIKU, &mut init.fork("policy"), device)?;
        let adam = AdamConfig::default();
        let critic = CriticSpec {
            hidden: &config.hidden,
            activation: Activation::Mish,
            init: HAIKU,
            adam,
        };
        Ok(Self {
            parts: ActorCritic::new(
                Averaged::new(policy, adam)?,
                critic.build(dims, &init.fork("critic"), device)?,
                Streams::new("flame", seed),
            ),
            alpha: AlphaState::new(config.init_alpha, device)?,
            evaluation: Stream::new(seed, "flame/evaluation"),
            device: device.clone(),
            variant,
            config,
            table,
            dims,
            generator,
        })
    }

    /// The configuration.
    pub fn config(&self) -> &FlameConfig {
        &self.config
    }

    /// The policy network.
    pub fn generator(&self) -> &Generator {
        &self.generator
    }

    /// Parameters of the online policy.
    pub fn policy(&self) -> &Params {
        self.parts.policy.online.params()
    }

    /// Parameters of the averaged policy, which acts.
    pub fn average_policy(&self) -> &Params {
        self.parts.policy.average()
    }

    /// The critics.
    pub fn critic(&self) -> &TwinCritic {
        &self.parts.critic
    }

    /// The temperature.
    pub fn alpha(&self) -> f64 {
        self.alpha.alpha
    }

    /// Updates made.
    pub fn updates(&self) -> u64 {
        self.parts.updates
    }

    fn generation(&self) -> Generation {
        let FlameConfig {
            n_gen,
            base_std,
            scoring,
            ..
        } = self.config;
        Generation {
            n_gen,
            base_std,
            precision: scoring.into(),
        }
    }

    fn estimator(&self) -> Estimator {
        let FlameConfig {
            entropy,
            trace,
            n_ent,
            ..
        } = self.config;
        Estimator {
            entropy,
            trace,
            n_ent,
        }
    }

    /// Best of `P` from the given policy parameters and normals `[n, P, d]`.
    fn choose(&self, policy: &Params, obs: &Tensor, xi: &Tensor) -> Result<Tensor> {
        let (net, critics) = (
            self.parts.critic.net(),
            self.parts.critic.online().detached(),
        );
        let best = best_of(
            &self.generator,
            &policy.detached(),
            net,
            &critics,
            obs,
            xi,
            self.generation(),
        )?;
        Ok(best.action)
    }

    fn candidate_shape(&self, rows: usize) -> (usize, usize, usize) {
        (rows, self.config.best_of, self.dims.act)
    }

    fn explore(&mut self, obs: &Tensor) -> Result<Tensor> {
        let shape = self.candidate_shape(obs.dim(0)?);
        let xi = random::normal(&mut self.parts.streams.explore, shape, &self.device)?;
        let action = self.choose(self.parts.policy.average(), obs, &xi)?;
        let noise = random::normal(&mut self.parts.streams.explore, action.dims(), &self.device)?;
        action + (noise * self.config.noise_std(self.alpha.alpha))?
    }

    fn evaluate(&self, obs: &Tensor) -> Result<Tensor> {
        let shape = self.candidate_shape(obs.dim(0)?);
        let xi =
            normals_per_observation(&self.evaluation, obs, shape.1 * shape.2)?.reshape(shape)?;
        self.choose(self.parts.policy.average(), obs, &xi)
    }

    /// `a'` at the next states: best of `P` of the online policy (step 2).
    fn next_action(&mut self, next_obs: &Tensor) -> Result<Tensor> {
        let shape = self.candidate_shape(next_obs.dim(0)?);
        let xi = random::normal(&mut self.parts.streams.next_action, shape, &self.device)?;
        self.choose(self.parts.policy.online.params(), next_obs, &xi)
    }

    fn add_td_noise(&mut self, next_act: &Tensor) -> Result<Tensor> {
        if !self.config.td_noise {
            return Ok(next_act.clone());
        }
        let noise = random::normal(
            &mut self.parts.streams.next_action,
            next_act.dims(),
            &self.device,
        )?;
        next_act + (noise * self.config.noise_std(self.alpha.alpha))?
    }

    /// Whether this update moves the temperature.
    fn temperature_due(&self) -> bool {
        !self.config.fix_alpha
            && self
                .parts
                .updates
                .is_multiple_of(self.config.delay_alpha_update)
    }

    /// Whether this update moves the policy and the averages.
    fn policy_due(&self) -> bool {
        self.parts.updates.is_multiple_of(self.config.delay_update)
    }

    /// `H'` per next state, only where the critic's target or the temperature takes it (step 3).
    fn next_entropy(&mut self, next_obs: &Tensor, next_act: &Tensor) -> Result<Option<Tensor>> {
        if self.config.td_entropy == TdEntropy::Omit && !self.temperature_due() {
            return Ok(None);
        }
        let shape = next_act.dims();
        let params = self.parts.policy.online.params().detached();
        let estimator = self.estimator();
        let source = match &self.generator {
            Generator::M(_) => {
                random::normal(&mut self.parts.streams.entropy, shape, &self.device)?
            }
            Generator::R(_) => next_act.clone(),
        };
        let probe = self.probe(&source)?;
        let entropy = match &self.generator {
            Generator::M(net) => {
                mean_flow_entropy(net, &params, next_obs, &source, &probe, estimator)?
            }
            Generator::R(net) => {
                rectified_flow_entropy(net, &params, next_obs, &source, &probe, estimator)?
            }
        };
        Ok(Some(entropy))
    }

    fn probe(&mut self, like: &Tensor) -> Result<Tensor> {
        let takes_probe = self.estimator().takes_probe();
        let stream = &mut self.parts.streams.entropy;
        match (takes_probe, self.config.trace) {
            (false, _) => like.zeros_like(),
            (true, Trace::Rademacher) => random::rademacher(stream, like.dims(), &self.device),
            (true, _) => random::normal(stream, like.dims(), &self.device),
        }
    }

    /// Steps 2 to 4: target and Adam step of the critics; returns `H'` where it was computed.
    fn update_critic(&mut self, batch: &Batch, metrics: &mut Metrics) -> Result<Option<Tensor>> {
        let next_act = self.next_action(&batch.next_obs)?;
        let entropy = self.next_entropy(&batch.next_obs, &next_act)?;
        let next_act = self.add_td_noise(&next_act)?;
        let q_next = self.parts.critic.target_min_q(&batch.next_obs, &next_act)?;
        let FlameConfig {
            td_entropy,
            reward_scale,
            critic_lr,
            ..
        } = self.config;
        let value = soft_value(&q_next, entropy.as_ref(), self.alpha.alpha, td_entropy)?;
        let y = td_target(
            &batch.reward,
            &batch.terminated,
            &value,
            reward_scale,
            self.config.off_policy.gamma,
        )?;
        let gradient = self.parts.critic.learn(batch, &y, critic_lr, metrics)?;
        if self.config.critic_double_step {
            self.parts.critic.step(&gradient, critic_lr)?;
        }
        Ok(entropy)
    }

    fn draw_times(&mut self, rows: usize) -> Result<Times> {
        let sampler = self.config.sampler();
        let first = self.draw_time(rows)?;
        if self.variant == Variant::R {
            return Ok(Times {
                r: None,
                t: sampler.map(&first)?,
            });
        }
        let (r, t) = sampler.pair(&first, &self.draw_time(rows)?)?;
        let fraction = self.config.meanflow_r_eq_t_frac;
        if fraction == 0.0 {
            return Ok(Times { r: Some(r), t });
        }
        let coins = random::uniform(&mut self.parts.streams.policy, 0.0, 1.0, rows, &self.device)?;
        let r = advect_flow::meanflow::tie_fraction(&r, &t, &coins, fraction)?;
        Ok(Times { r: Some(r), t })
    }

    fn draw_time(&mut self, rows: usize) -> Result<Tensor> {
        let stream = &mut self.parts.streams.policy;
        if self.config.sampler().takes_normals() {
            return random::normal(stream, rows, &self.device);
        }
        random::uniform(stream, 0.0, 1.0, rows, &self.device)
    }

    /// Step 5: noised actions, proposals, their scores under the online critics and weights.
    fn propose(&mut self, batch: &Batch, times: &Times) -> Result<(Proposals, Tensor)> {
        let (rows, d) = batch.act.dims2()?;
        let shape = (rows, self.config.num_proposals, d);
        let eps0 = random::normal(&mut self.parts.streams.policy, (rows, d), &self.device)?;
        let levels = random::uniform(
            &mut self.parts.streams.policy,
            0.0,
            1.0,
            shape,
            &self.device,
        )?;
        let path = self.config.path(self.variant);
        let noise = ProposalNoise { eps0, levels };
        let proposals = propose(path, &batch.act, &times.t, &noise, self.config.clip_z)?;
        let critics = self.parts.critic.online().detached();
        let precision = self.config.scoring.into();
        let q = self.parts.critic.net().min_q_candidates(
            &critics,
            &batch.obs,
            &proposals.act,
            precision,
        )?;
        let weights = softmax_weights(&q, self.config.weight_temperature(self.alpha.alpha))?;
        Ok((proposals, weights))
    }

    /// The regression loss of either variant on shared or repeated rows (step 6).
    fn policy_loss(
        &self,
        obs: &Tensor,
        times: &Times,
        proposals: &Proposals,
        weights: &Tensor,
    ) -> Result<Tensor> {
        use advect_flow::TimeConvention::{DataUp, NoiseUp};
        let params = self.parts.policy.online.params().tensor();
        let shared = self.config.policy_loss_rows == LossRows::Shared;
        let t = &times.t;
        match (&self.generator, &times.r) {
            (Generator::M(net), Some(r)) if shared => {
                let v_bar = proposals.mean_velocity(NoiseUp, weights)?;
                let adaptive_c = self
                    .config
                    .adaptive_weight
                    .then_some(self.config.adaptive_c);
                let shared = policy_m::shared_loss(
                    net,
                    params,
                    obs,
                    &proposals.z,
                    (r, t),
                    &v_bar,
                    adaptive_c,
                )?;
                Ok(shared.loss)
            }
            (Generator::M(net), r) => policy_m::row_loss(
                net,
                params,
                obs,
                (r.as_ref().unwrap_or(t), t),
                proposals,
                weights,
            ),
            (Generator::R(net), _) => {
                let loss = if shared {
                    let u_bar = proposals.mean_velocity(DataUp, weights)?;
                    policy_r::shared_loss(net, params, obs, &proposals.z, t, &u_bar)?
                } else {
                    policy_r::row_loss(net, params, obs, t, proposals, weights)?
                };
                loss * policy_r::reduction_factor(
                    self.config.k_reduction,
                    self.config.num_proposals,
                )
            }
        }
    }

    /// The extra term of eq. (7), FLAME-M with `dpg_coef > 0`.
    fn dpg_loss(&mut self, obs: &Tensor) -> Result<Option<Tensor>> {
        let Generator::M(net) = &self.generator else {
            return Ok(None);
        };
        if self.config.dpg_coef == 0.0 {
            return Ok(None);
        }
        let shape = (obs.dim(0)?, self.dims.act);
        let xi = random::normal(&mut self.parts.streams.policy, shape, &self.device)?;
        let (critic, critics) = (
            self.parts.critic.net(),
            self.parts.critic.target().detached(),
        );
        let params = self.parts.policy.online.params().tensor();
        let dpg = policy_m::dpg_loss(
            net,
            params,
            critic,
            &critics,
            obs,
            &xi,
            self.config.base_std,
        )?;
        Ok(Some(dpg.loss))
    }

    /// Steps 5 and 6.
    fn update_policy(&mut self, batch: &Batch, metrics: &mut Metrics) -> Result<()> {
        let times = self.draw_times(batch.obs.dim(0)?)?;
        let (proposals, weights) = self.propose(batch, &times)?;
        let mut loss = self.policy_loss(&batch.obs, &times, &proposals, &weights)?;
        metrics.insert_tensor("policy/loss", &loss)?;
        metrics.insert_tensor("policy/weight_ess", &effective_fraction(&weights)?)?;
        if let Some(dpg) = self.dpg_loss(&batch.obs)? {
            metrics.insert_tensor("policy/dpg_loss", &dpg)?;
            loss = (loss + (dpg * self.config.dpg_coef)?)?;
        }
        let lr = self
            .config
            .policy_schedule()
            .at(self.parts.policy.online.steps());
        let norm = self.parts.policy.online.descend(&loss, lr)?;
        metrics.insert("policy/grad_norm", norm);
        metrics.insert("policy/lr", lr);
        Ok(())
    }

    /// Step 7, eq. (10).
    fn update_temperature(&mut self, entropy: &Tensor, metrics: &mut Metrics) -> Result<()> {
        metrics.insert_tensor("temperature/entropy", &entropy.mean_all()?)?;
        if self.temperature_due() {
            let gradient = entropy_gradient(entropy, self.config.target_entropy(self.dims.act))?;
            self.alpha.step(&gradient, self.config.alpha_lr)?;
        }
        Ok(())
    }

    /// Step 8.
    fn update_averages(&self) -> Result<()> {
        let tau = self.config.off_policy.ema_tau;
        self.parts.update_averages(tau)
    }
}

impl Agent for FlameAgent {
    fn name(&self) -> &'static str {
        name(self.variant)
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
        let entropy = self.update_critic(batch, &mut metrics)?;
        if self.policy_due() {
            self.update_policy(batch, &mut metrics)?;
        }
        if let Some(entropy) = entropy {
            self.update_temperature(&entropy, &mut metrics)?;
        }
        if self.policy_due() {
            self.update_averages()?;
        }
        metrics.insert("temperature/alpha", self.alpha.alpha);
        self.parts.updates += 1;
        Ok(metrics)
    }

    fn save(&self, out: &mut StateDict) -> std::result::Result<(), StateError> {
        self.parts.save(out)?;
        self.alpha.temperature.save("temperature", out)?;
        Ok(())
    }

    fn load(&mut self, from: &StateDict) -> std::result::Result<(), StateError> {
        self.parts.load(from)?;
        self.alpha.load(from)?;
        Ok(())
    }

    fn parameter_hash(&self) -> Result<u64> {
        let nets = self.parts.buffers();
        let all = nets.chain([self.alpha.temperature.log_alpha()]);
        crate::hash::combined(all)
    }

    fn config_toml(&self) -> toml::Table {
        self.table.clone()
    }
}
