//! The agent: critics, policy, temperature and averages in one update, in the order of flame.md section 8.

use advect_kernels::optim::AdamConfig;
use advect_kernels::scalars::Scalar;
use advect_kernels::{Activation, Params, Precision};
use advect_rl::critic::td_target;
use advect_rl::temperature::{entropy_gradient, target_entropy};
use advect_rl::{ActMode, Batch, Metrics, StateDict, StateError};
use candle_core::{Device, Result, Tensor};
use serde::Serialize;

use super::config::{NoiseRule, NoisyBestOfConfig};
use super::noise;
use super::policy::{EntropyOf, LossInputs, NextStates, Objective, Policy, States};
use crate::alpha::AlphaState;
use crate::dims::Dims;
use crate::error::AlgoError;
use crate::networks::HAIKU;
use crate::normals::Normals;
use crate::off_policy::{
    ActorCritic, Networks, OffPolicyAgent, OffPolicyAlgorithm, OffPolicyConfig,
};

/// Acts by the best of its policy's samples plus noise; `P` is the policy, `O` what trains it.
#[derive(Debug)]
pub struct NoisyBestOf<P, O> {
    config: NoisyBestOfConfig,
    gamma: f64,
    ema_tau: f64,
    policy: P,
    objective: O,
    alpha: AlphaState,
}

/// What an algorithm is made of.
#[derive(Debug)]
pub struct Setup<'a, P, O> {
    /// The algorithm's name.
    pub name: &'static str,
    /// Data collection, replay, discount and moving average.
    pub off_policy: &'a OffPolicyConfig,
    /// What the agent itself takes.
    pub shared: &'a NoisyBestOfConfig,
    /// The policy.
    pub policy: P,
    /// What trains it.
    pub objective: O,
}

impl<P: Policy, O: Objective<P>> Setup<'_, P, O> {
    /// The agent of the complete, checked configuration, with parameters drawn from `seed`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn agent(
        self,
        complete: &impl Serialize,
        dims: Dims,
        seed: u64,
        device: &Device,
    ) -> std::result::Result<OffPolicyAgent<NoisyBestOf<P, O>>, AlgoError> {
        self.check_noise()?;
        let networks = Networks::alike(
            &self.shared.hidden,
            Activation::Mish,
            HAIKU,
            AdamConfig::default(),
        );
        let layout = self.policy.layout().clone();
        let parts = networks.draw(self.name, layout, dims, seed, device)?;
        let algorithm = NoisyBestOf {
            config: self.shared.clone(),
            gamma: self.off_policy.gamma,
            ema_tau: self.off_policy.ema_tau,
            alpha: AlphaState::new(self.shared.init_alpha, device)?,
            policy: self.policy,
            objective: self.objective,
        };
        let settings = self.off_policy.loop_settings();
        OffPolicyAgent::new(self.name, complete, settings, parts, algorithm)
    }
}

impl<P: Policy, O: Objective<P>> Setup<'_, P, O> {
    /// Refuses a temperature that is driven by an entropy that it does not move.
    fn check_noise(&self) -> std::result::Result<(), AlgoError> {
        let by_noise = self.objective.entropy_of() == EntropyOf::Noise;
        if by_noise && self.shared.noise == NoiseRule::Constant && !self.shared.fix_alpha {
            let fix = "set fix_alpha = true: the temperature follows the entropy of the noise, which would stay";
            return Err(AlgoError::value("noise", "constant", fix));
        }
        Ok(())
    }
}

impl<P: Policy, O: Objective<P>> NoisyBestOf<P, O> {
    /// The policy network and its sampler.
    pub fn policy(&self) -> &P {
        &self.policy
    }

    /// What trains the policy.
    pub fn objective(&self) -> &O {
        &self.objective
    }

    /// The temperature; waits for the device.
    ///
    /// # Errors
    /// If the device cannot be read.
    pub fn alpha(&self) -> Result<f64> {
        self.alpha.alpha.read()
    }

    /// Standard deviation of the exploration noise; waits for the device.
    ///
    /// # Errors
    /// If the device cannot be read.
    pub fn noise_std(&self) -> Result<f64> {
        self.std()?.read()
    }

    fn std(&self) -> Result<Scalar> {
        self.config.noise_std(&self.alpha.alpha)
    }

    fn precision(&self) -> Precision {
        self.config.scoring.into()
    }

    /// The best of `P` candidates under the online critics, clipped to `[-1, 1]^d`.
    fn best(
        &self,
        parts: &ActorCritic,
        policy: &Params,
        obs: &Tensor,
        normals: &mut Normals<'_>,
    ) -> Result<Tensor> {
        let (params, count) = (policy.detached(), self.config.best_of);
        let precision = self.precision();
        let candidates = self
            .policy
            .candidates(&params, obs, count, normals, precision)?;
        parts.best(obs, &candidates, precision, Some([-1.0, 1.0]))
    }

    /// The action plus exploration noise, not clipped.
    fn noisy(&self, act: &Tensor, normals: &mut Normals<'_>) -> Result<Tensor> {
        let noise = normals.draw(act.dims(), act.device())?;
        act + self.std()?.times(&noise)?
    }

    fn policy_due(&self, updates: u64) -> bool {
        updates.is_multiple_of(self.config.delay_update)
    }

    fn temperature_due(&self, updates: u64) -> bool {
        !self.config.fix_alpha && updates.is_multiple_of(self.config.delay_alpha_update)
    }

    /// `a'` at the next states, best of `P` of the online policy, and the policy's entropy there where somebody takes it (steps 2, 3).
    fn next(&self, parts: &mut ActorCritic, next_obs: &Tensor) -> Result<(Tensor, Option<Tensor>)> {
        let mut stream = parts.streams.next_action.clone();
        let normals = &mut Normals::Stream(&mut stream);
        let policy = parts.policy.online.params();
        let best = self.best(parts, policy, next_obs, normals)?;
        let act = match self.config.td_noise {
            true => self.noisy(&best, normals)?,
            false => best.clone(),
        };
        let next = NextStates {
            params: &policy.detached(),
            obs: next_obs,
            act: &best,
            temperature_due: self.temperature_due(parts.updates),
        };
        let noise = &mut parts.streams.entropy;
        let entropy = self.objective.next_entropy(&self.policy, next, noise)?;
        parts.streams.next_action = stream;
        Ok((act, entropy))
    }

    /// `y = reward_scale r + gamma (1 - terminated) V(s')` and one Adam step of the critics (step 4).
    fn update_critic(
        &self,
        parts: &mut ActorCritic,
        batch: &Batch,
        (next_act, entropy): (&Tensor, Option<&Tensor>),
        metrics: &mut Metrics,
    ) -> Result<()> {
        let NoisyBestOfConfig {
            reward_scale,
            critic_lr,
            ..
        } = self.config;
        let q_next = parts.critic.target_q(&batch.next_obs, next_act)?;
        let value = self
            .objective
            .next_value(q_next, entropy, &self.alpha.alpha)?;
        let (reward, ends) = (&batch.reward, &batch.terminated);
        let y = td_target(reward, ends, &value, reward_scale, self.gamma)?;
        let gradient = parts.critic.learn(batch, &y, critic_lr, metrics)?;
        if self.config.critic_double_step {
            parts.critic.step(&gradient, critic_lr)?;
        }
        Ok(())
    }

    /// A fresh action of the online policy at the batch's states.
    fn fresh_action(&self, parts: &mut ActorCritic, obs: &Tensor) -> Result<Tensor> {
        let mut stream = parts.streams.policy.clone();
        let normals = &mut Normals::Stream(&mut stream);
        let policy = parts.policy.online.params();
        let act = self.noisy(&self.best(parts, policy, obs, normals)?, normals)?;
        parts.streams.policy = stream;
        Ok(act)
    }

    /// Steps 5 and 6.
    fn update_policy(
        &self,
        parts: &mut ActorCritic,
        batch: &Batch,
        next_act: &Tensor,
        metrics: &mut Metrics,
    ) -> Result<()> {
        let (obs, act) = match self.objective.states() {
            States::Replayed => (&batch.obs, batch.act.clone()),
            States::Current => (&batch.obs, self.fresh_action(parts, &batch.obs)?),
            States::Next => (&batch.next_obs, next_act.clone()),
        };
        let inputs = LossInputs {
            params: parts.policy.online.params().tensor(),
            obs,
            act: &act,
            critic: &parts.critic,
            alpha: &self.alpha.alpha,
            precision: self.precision(),
        };
        let stream = &mut parts.streams.policy;
        let loss = self
            .objective
            .loss(&self.policy, &inputs, stream, metrics)?;
        parts.descend(&loss, self.config.policy_schedule(), metrics)?;
        metrics.insert_scalar("policy/lr", &parts.policy.online.rate()?)
    }

    /// Drives an entropy to its target (step 7).
    fn update_temperature(
        &mut self,
        updates: u64,
        (dims, device): (usize, &Device),
        policy: Option<Tensor>,
        metrics: &mut Metrics,
    ) -> Result<()> {
        let entropy = match self.objective.entropy_of() {
            EntropyOf::Policy => policy,
            EntropyOf::Noise => {
                let entropy = noise::entropy(&self.std()?, dims)?;
                Some(entropy.to_tensor(device)?)
            }
        };
        if let Some(entropy) = entropy {
            metrics.insert_mean("temperature/entropy", &entropy)?;
            if self.temperature_due(updates) {
                let target = target_entropy(self.config.target_entropy_scale, dims);
                let gradient = entropy_gradient(&entropy, target)?;
                self.alpha.step(&gradient, self.config.alpha_lr)?;
            }
        }
        metrics.insert_scalar("temperature/alpha", &self.alpha.alpha)?;
        let (std, factor) = self.config.noise_std_of(&self.alpha.alpha);
        metrics.insert_multiple("temperature/noise_std", &std, factor)
    }
}

impl<P: Policy, O: Objective<P>> OffPolicyAlgorithm for NoisyBestOf<P, O> {
    fn act(
        &self,
        parts: &ActorCritic,
        obs: &Tensor,
        mode: ActMode,
        normals: &mut Normals<'_>,
    ) -> Result<Tensor> {
        let policy = parts.policy.average();
        if mode == ActMode::Explore {
            let best = self.best(parts, policy, obs, normals)?;
            return self.noisy(&best, normals);
        }
        match self.policy.one_step(&policy.detached(), obs)? {
            Some(action) => Ok(action),
            None => self.best(parts, policy, obs, normals),
        }
    }

    fn update(
        &mut self,
        parts: &mut ActorCritic,
        batch: &Batch,
        metrics: &mut Metrics,
    ) -> Result<()> {
        let (next_obs, act) = (&batch.next_obs, &batch.act);
        let policy_due = self.policy_due(parts.updates);
        let (next_act, entropy) = self.next(parts, next_obs)?;
        self.update_critic(parts, batch, (&next_act, entropy.as_ref()), metrics)?;
        if policy_due {
            self.update_policy(parts, batch, &next_act, metrics)?;
        }
        self.objective.observe(&parts.critic, next_obs, &next_act)?;
        let place = (act.dim(1)?, act.device());
        self.update_temperature(parts.updates, place, entropy, metrics)?;
        if policy_due {
            parts.update_averages(self.ema_tau)?;
        }
        Ok(())
    }

    fn kind(&self, updates: u64) -> Option<u64> {
        let due = [self.policy_due(updates), self.temperature_due(updates)];
        let [policy, temperature] = due.map(u64::from);
        self.objective.repeats().then_some(2 * policy + temperature)
    }

    fn save(&self, out: &mut StateDict) -> std::result::Result<(), StateError> {
        self.alpha.temperature.save("temperature", out)?;
        self.objective.save(out)
    }

    fn load(&mut self, from: &StateDict) -> std::result::Result<(), StateError> {
        self.alpha.load(from)?;
        self.objective.load(from)
    }

    fn numbers(&self) -> Result<Vec<f64>> {
        Ok(vec![self.alpha()?])
    }
}
