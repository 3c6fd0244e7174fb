//! The agent: critics, policy, noise temperature and averages in one update, in the order of flame.md section 8.

use advect_kernels::optim::AdamConfig;
use advect_kernels::{Activation, Params, Precision, random};
use advect_rl::critic::td_target;
use advect_rl::temperature::entropy_gradient;
use advect_rl::{
    ActMode, Agent, Averaged, Batch, LoopSettings, Metrics, StateDict, StateError, TwinCritic,
};
use advect_rng::Stream;
use candle_core::{Device, Result, Tensor};

use super::config::NoisyBestOfConfig;
use super::noise;
use super::policy::{LossInputs, Objective, Policy, States};
use crate::actor_critic::ActorCritic;
use crate::alpha::AlphaState;
use crate::candidates::best;
use crate::dims::Dims;
use crate::error::AlgoError;
use crate::evaluation::normals_per_observation;
use crate::networks::{CriticSpec, HAIKU, drawn};
use crate::off_policy::OffPolicyConfig;
use crate::streams::Streams;

/// What an algorithm is made of, its settings checked.
#[derive(Debug)]
pub struct Setup<P, O> {
    /// The algorithm's name.
    pub name: &'static str,
    /// The complete configuration.
    pub table: toml::Table,
    /// Data collection, replay, discount and moving average.
    pub off_policy: OffPolicyConfig,
    /// What the agent itself takes.
    pub config: NoisyBestOfConfig,
    /// The policy.
    pub policy: P,
    /// What trains it.
    pub objective: O,
}

/// An agent that acts by the best of its policy's samples plus noise.
#[derive(Debug)]
pub struct NoisyBestOf<P, O> {
    setup: Setup<P, O>,
    dims: Dims,
    device: Device,
    parts: ActorCritic,
    alpha: AlphaState,
    evaluation: Stream,
}

impl<P: Policy, O: Objective<P>> NoisyBestOf<P, O> {
    /// An agent with parameters drawn from `seed`.
    ///
    /// # Errors
    /// If the configuration makes no sense.
    pub fn new(
        setup: Setup<P, O>,
        dims: Dims,
        seed: u64,
        device: &Device,
    ) -> std::result::Result<Self, AlgoError> {
        setup.off_policy.validate()?;
        setup.config.validate()?;
        let name = setup.name;
        let init = Stream::new(seed, &format!("{name}/init"));
        let layout = setup.policy.layout().clone();
        let policy = drawn(layout, HAIKU, &mut init.fork("policy"), device)?;
        let adam = AdamConfig::default();
        let critic = CriticSpec {
            hidden: &setup.config.hidden,
            activation: Activation::Mish,
            init: HAIKU,
            adam,
        };
        Ok(Self {
            parts: ActorCritic::new(
                Averaged::new(policy, adam)?,
                critic.build(dims, &init.fork("critic"), device)?,
                Streams::new(name, seed),
            ),
            alpha: AlphaState::new(setup.config.init_alpha, device)?,
            evaluation: Stream::new(seed, &format!("{name}/evaluation")),
            device: device.clone(),
            setup,
            dims,
        })
    }

    /// The policy network and its sampler.
    pub fn policy(&self) -> &P {
        &self.setup.policy
    }

    /// What trains the policy.
    pub fn objective(&self) -> &O {
        &self.setup.objective
    }

    /// Parameters of the online policy.
    pub fn policy_params(&self) -> &Params {
        self.parts.policy.online.params()
    }

    /// Parameters of the averaged policy, which acts.
    pub fn average_policy_params(&self) -> &Params {
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

    /// Standard deviation of the exploration noise, `noise_scale alpha`.
    pub fn noise_std(&self) -> f64 {
        noise::std(self.setup.config.noise_scale, self.alpha.alpha)
    }

    fn precision(&self) -> Precision {
        self.setup.config.scoring.into()
    }

    /// Width of the normals of one noisy choice: of the candidates, of the noise.
    fn widths(&self) -> [usize; 2] {
        let candidates = self.setup.config.best_of * self.setup.policy.noise_width();
        [candidates, self.dims.act]
    }

    /// The best of `P` candidates under the online critics, from normals `[n, P noise_width]`.
    fn best(&self, policy: &Params, obs: &Tensor, normals: &Tensor) -> Result<Tensor> {
        let width = self.setup.policy.noise_width();
        let normals = normals.reshape((obs.dim(0)?, self.setup.config.best_of, width))?;
        let (params, precision) = (policy.detached(), self.precision());
        let candidates = self
            .setup
            .policy
            .candidates(&params, obs, &normals, precision)?;
        best(
            self.parts.critic.net(),
            self.parts.critic.online(),
            obs,
            &candidates,
            precision,
        )
    }

    /// The best candidate plus noise, not clipped, from the [`draw`] of its normals.
    fn noisy_best(&self, policy: &Params, obs: &Tensor, draws: &[Tensor; 2]) -> Result<Tensor> {
        let [candidates, noise] = draws;
        self.best(policy, obs, candidates)? + (noise * self.noise_std())?
    }

    fn explore(&mut self, obs: &Tensor) -> Result<Tensor> {
        let widths = self.widths();
        let draws = draw(&mut self.parts.streams.explore, widths, obs)?;
        self.noisy_best(self.parts.policy.average(), obs, &draws)
    }

    fn evaluate(&self, obs: &Tensor) -> Result<Tensor> {
        let policy = self.parts.policy.average();
        if let Some(action) = self.setup.policy.one_step(&policy.detached(), obs)? {
            return Ok(action);
        }
        let [width, _] = self.widths();
        let normals = normals_per_observation(&self.evaluation, obs, width)?;
        self.best(policy, obs, &normals)
    }

    /// `a'` at the next states: best of `P` of the online policy plus noise.
    fn next_action(&mut self, next_obs: &Tensor) -> Result<Tensor> {
        let widths = self.widths();
        let draws = draw(&mut self.parts.streams.next_action, widths, next_obs)?;
        self.noisy_best(self.parts.policy.online.params(), next_obs, &draws)
    }

    /// `y = reward_scale r + gamma (1 - terminated) min Q_target(s', a')` and one Adam step of the critics.
    fn update_critic(
        &mut self,
        batch: &Batch,
        next_act: &Tensor,
        metrics: &mut Metrics,
    ) -> Result<()> {
        let value = self.parts.critic.target_min_q(&batch.next_obs, next_act)?;
        let NoisyBestOfConfig {
            reward_scale,
            critic_lr,
            critic_double_step,
            ..
        } = self.setup.config;
        let gamma = self.setup.off_policy.gamma;
        let y = td_target(
            &batch.reward,
            &batch.terminated,
            &value,
            reward_scale,
            gamma,
        )?;
        let gradient = self.parts.critic.learn(batch, &y, critic_lr, metrics)?;
        if critic_double_step {
            self.parts.critic.step(&gradient, critic_lr)?;
        }
        Ok(())
    }

    /// A fresh action of the online policy at the batch's states.
    fn fresh_action(&mut self, obs: &Tensor) -> Result<Tensor> {
        let widths = self.widths();
        let draws = draw(&mut self.parts.streams.policy, widths, obs)?;
        self.noisy_best(self.parts.policy.online.params(), obs, &draws)
    }

    fn policy_loss(&mut self, obs: &Tensor, act: &Tensor, metrics: &mut Metrics) -> Result<Tensor> {
        let inputs = LossInputs {
            params: self.parts.policy.online.params().tensor(),
            obs,
            act,
            critic: &self.parts.critic,
            alpha: self.alpha.alpha,
            precision: self.precision(),
        };
        let Setup {
            policy, objective, ..
        } = &self.setup;
        objective.loss(policy, &inputs, &mut self.parts.streams.policy, metrics)
    }

    fn update_policy(
        &mut self,
        batch: &Batch,
        next_act: &Tensor,
        metrics: &mut Metrics,
    ) -> Result<()> {
        let loss = match self.setup.objective.states() {
            States::Next => self.policy_loss(&batch.next_obs, next_act, metrics)?,
            States::Current => {
                let act = self.fresh_action(&batch.obs)?;
                self.policy_loss(&batch.obs, &act, metrics)?
            }
        };
        let lr = self.setup.config.policy_schedule();
        let lr = lr.at(self.parts.policy.online.steps());
        self.parts.descend(&loss, lr, metrics)?;
        metrics.insert("policy/lr", lr);
        Ok(())
    }

    /// Drives the entropy of the exploration noise to its target.
    fn update_temperature(&mut self, metrics: &mut Metrics) -> Result<()> {
        let NoisyBestOfConfig {
            alpha_lr,
            delay_alpha_update,
            ..
        } = self.setup.config;
        let entropy = noise::entropy(self.noise_std(), self.dims.act);
        metrics.insert("temperature/entropy", entropy);
        if self.parts.updates.is_multiple_of(delay_alpha_update) {
            let entropy = Tensor::new(&[entropy as f32], &self.device)?;
            let target = self.setup.config.target_entropy(self.dims.act);
            let gradient = entropy_gradient(&entropy, target)?;
            self.alpha.step(&gradient, alpha_lr)?;
        }
        metrics.insert("temperature/alpha", self.alpha.alpha);
        metrics.insert("temperature/noise_std", self.noise_std());
        Ok(())
    }

    fn update_averages(&self) -> Result<()> {
        let tau = self.setup.off_policy.ema_tau;
        self.parts.update_averages(tau)
    }
}

/// Normals of one noisy choice per state: `[n, width]` of every width.
fn draw(stream: &mut Stream, widths: [usize; 2], obs: &Tensor) -> Result<[Tensor; 2]> {
    let rows = obs.dim(0)?;
    let [candidates, noise] = widths;
    Ok([
        random::normal(stream, (rows, candidates), obs.device())?,
        random::normal(stream, (rows, noise), obs.device())?,
    ])
}

impl<P: Policy, O: Objective<P>> Agent for NoisyBestOf<P, O> {
    fn name(&self) -> &'static str {
        self.setup.name
    }

    fn loop_settings(&self) -> LoopSettings {
        self.setup.off_policy.loop_settings()
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
        let policy_due = self
            .parts
            .updates
            .is_multiple_of(self.setup.config.delay_update);
        let next_act = self.next_action(&batch.next_obs)?;
        self.update_critic(batch, &next_act, &mut metrics)?;
        if policy_due {
            self.update_policy(batch, &next_act, &mut metrics)?;
        }
        let objective = &mut self.setup.objective;
        objective.observe(&self.parts.critic, &batch.next_obs, &next_act)?;
        self.update_temperature(&mut metrics)?;
        if policy_due {
            self.update_averages()?;
        }
        self.parts.updates += 1;
        Ok(metrics)
    }

    fn save(&self, out: &mut StateDict) -> std::result::Result<(), StateError> {
        self.parts.save(out)?;
        self.alpha.temperature.save("temperature", out)?;
        self.setup.objective.save(out);
        Ok(())
    }

    fn load(&mut self, from: &StateDict) -> std::result::Result<(), StateError> {
        self.parts.load(from)?;
        self.alpha.load(from)?;
        self.setup.objective.load(from)?;
        Ok(())
    }

    fn parameter_hash(&self) -> Result<u64> {
        let nets = self.parts.buffers();
        crate::hash::combined(nets.chain([self.alpha.temperature.log_alpha()]))
    }

    fn config_toml(&self) -> toml::Table {
        self.setup.table.clone()
    }
}
