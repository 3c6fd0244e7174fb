//! Policy, value and normalisers, and how they learn from a rollout.

use advect_kernels::{Params, random};
use advect_rl::advantage;
use advect_rl::{
    ActMode, Batch, Learned, Metrics, ObsNormalizer, RewardNormalizer, StateDict, StateError,
};
use advect_rng::Stream;
use candle_core::{Device, Result, Tensor};

use super::actor_critic::ActorCritic;
use super::config::{AdvantageNorm, PpoConfig};
use super::experience::{Experience, check_envs};
use super::loss::{Rows, losses};
use super::policy::Policy;
use super::pretrained::PARAMS;
use super::report::Report;
use crate::dims::Dims;
use crate::gaussian;

/// A summand that an algorithm adds to the loss of a minibatch: a function of the networks and their parameters.
pub type Extra<'a> = dyn FnMut(&ActorCritic, &Tensor) -> Result<Option<Tensor>> + 'a;

/// The state of the algorithm.
#[derive(Debug)]
pub struct Learner {
    config: PpoConfig,
    device: Device,
    net: ActorCritic,
    params: Learned,
    /// As it acts: it counts every observation that it acts on.
    obs_normalizer: ObsNormalizer,
    /// As it was at the start of the rollout.
    rollout_normalizer: ObsNormalizer,
    reward_normalizer: RewardNormalizer,
    explore: Stream,
    shuffle: Stream,
    updates: u64,
}

impl Learner {
    /// Networks drawn from `seed`; streams are `{family}/...`.
    ///
    /// # Errors
    /// If a width is zero or the device fails.
    pub fn new(
        family: &str,
        config: &PpoConfig,
        dims: Dims,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        let stream = |name: &str| Stream::new(seed, &format!("{family}/{name}"));
        let net = ActorCritic::new(dims, &config.hidden, &config.hidden)?;
        let values = net.init(&config.start(), &mut stream("init"));
        let params = Params::from_vec(net.layout().clone(), None, values, device)?;
        let obs_normalizer = ObsNormalizer::new(dims.obs, config.obs_clip)?;
        let (envs, gamma, clip) = (config.num_envs, config.gamma, config.reward_clip);
        Ok(Self {
            params: Learned::new(params, config.adam())?,
            rollout_normalizer: obs_normalizer.clone(),
            obs_normalizer,
            reward_normalizer: RewardNormalizer::new(envs, gamma, clip)?,
            explore: stream("explore"),
            shuffle: stream("shuffle"),
            updates: 0,
            config: config.clone(),
            device: device.clone(),
            net,
        })
    }

    /// The networks' shape.
    pub fn net(&self) -> &ActorCritic {
        &self.net
    }

    /// The networks' hidden widths.
    pub fn hidden(&self) -> &[usize] {
        &self.config.hidden
    }

    /// The policy as it is now.
    pub fn policy(&self) -> Policy<'_> {
        Policy {
            net: &self.net,
            params: self.params().tensor(),
        }
    }

    /// The networks' parameters.
    pub fn params(&self) -> &Params {
        self.params.params()
    }

    /// Rollouts learnt from.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// Raw observations in the present units of the networks, without counting them.
    ///
    /// # Shapes
    /// `obs` `[n, o]` to `[n, o]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn normalized(&self, obs: &Tensor) -> Result<Tensor> {
        match self.config.normalize_obs {
            true => self.obs_normalizer.apply(obs),
            false => Ok(obs.clone()),
        }
    }

    /// `V` of raw observations.
    ///
    /// # Shapes
    /// `obs` `[n, o]` to `[n]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn value(&self, obs: &Tensor) -> Result<Tensor> {
        let params = self.params().detached();
        self.net.value(&params, &self.normalized(obs)?)
    }

    /// Counts observations of the training loop in the normaliser.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn observe(&mut self, obs: &Tensor) -> Result<()> {
        match self.config.normalize_obs {
            true => self.obs_normalizer.count(obs),
            false => Ok(()),
        }
    }

    /// An action of the policy for exploration, its mean for an evaluation.
    ///
    /// # Shapes
    /// `obs` `[n, o]` to `[n, d]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn act(&mut self, obs: &Tensor, mode: ActMode) -> Result<Tensor> {
        let params = self.params().detached();
        let mean = self.net.mean(&params, &self.normalized(obs)?)?;
        if mode == ActMode::Evaluate {
            return Ok(mean);
        }
        let eps = random::normal(&mut self.explore, mean.shape(), &self.device)?;
        gaussian::sample(&mean, &self.net.log_std(&params)?, &eps)
    }

    /// A rollout in the units in which it was acted on; the next one starts from the statistics at its end.
    ///
    /// # Errors
    /// If the rows are of another number of environments than the configuration says.
    pub fn take_in(&mut self, batch: &Batch) -> Result<Experience> {
        check_envs(self.config.num_envs, batch.num_envs)?;
        let (obs, next_obs) = match self.config.normalize_obs {
            true => {
                let normalizer = &mut self.rollout_normalizer;
                let seen = normalizer.follow(&batch.obs, &batch.next_obs, batch.num_envs)?;
                self.obs_normalizer = normalizer.clone();
                seen
            }
            false => (batch.obs.clone(), batch.next_obs.clone()),
        };
        Ok(Experience {
            obs,
            next_obs,
            act: batch.act.clone(),
            terminated: batch.terminated.to_vec1()?,
            truncated: batch.truncated.to_vec1()?,
            num_envs: batch.num_envs,
        })
    }

    /// Learns from a rollout with raw rewards `[T E]`; `extra` is added to the loss of every minibatch.
    ///
    /// # Errors
    /// On a shape mismatch, and what `extra` reports.
    pub fn learn(
        &mut self,
        experience: &Experience,
        mut reward: Vec<f32>,
        extra: &mut Extra,
    ) -> Result<Metrics> {
        if self.config.normalize_reward {
            let ended = experience.ended();
            self.reward_normalizer.follow(&mut reward, &ended)?;
        }
        let rows = self.rows(experience, &reward)?;
        let lr = self.config.schedule().at(self.updates);
        let mut report = Report::default();
        for _ in 0..self.config.epochs {
            self.epoch(&rows, lr, extra, &mut report)?;
        }
        self.updates += 1;
        let mut metrics = report.metrics()?;
        metrics.insert("policy/lr", lr);
        let (returns, value) = (rows.returns.to_vec1()?, rows.value.to_vec1()?);
        if let Some(explained) = advantage::explained_variance(&returns, &value) {
            metrics.insert("value/explained_variance", explained);
        }
        Ok(metrics)
    }

    /// What the parameters that acted say of a rollout: log-probabilities, values, advantages and returns.
    fn rows(&self, experience: &Experience, reward: &[f32]) -> Result<Rows> {
        let params = self.params().detached();
        let (obs, act) = (&experience.obs, &experience.act);
        let mean = self.net.mean(&params, obs)?;
        let log_prob = gaussian::log_prob(act, &mean, &self.net.log_std(&params)?)?;
        let value = self.net.value(&params, obs)?;
        let at_end = self.net.value(&params, &experience.next_obs)?;
        let discount = self.config.discount();
        let rows = experience.rows(reward, log_prob, value, &at_end, discount)?;
        Ok(Rows {
            advantage: self.normalized_for(AdvantageNorm::Rollout, rows.advantage)?,
            ..rows
        })
    }

    /// The advantages, normalised if this is where the configuration wants it.
    fn normalized_for(&self, place: AdvantageNorm, advantage: Tensor) -> Result<Tensor> {
        match self.config.advantage_norm == place {
            true => advantage::normalised(&advantage, 1, self.config.advantage_eps),
            false => Ok(advantage),
        }
    }

    /// One pass over the rows in a fresh order, in minibatches whose sizes differ by at most one.
    fn epoch(
        &mut self,
        rows: &Rows,
        lr: f64,
        extra: &mut Extra,
        report: &mut Report,
    ) -> Result<()> {
        let count = rows.advantage.elem_count();
        let order = random::permutation(&mut self.shuffle, count, &self.device)?;
        let minibatches = self.config.num_minibatches.min(count);
        for i in 0..minibatches {
            let mut minibatch = rows.minibatch(&order, i, minibatches)?;
            minibatch.advantage =
                self.normalized_for(AdvantageNorm::Minibatch, minibatch.advantage)?;
            self.step(&minibatch, lr, extra, report)?;
        }
        Ok(())
    }

    fn step(&mut self, rows: &Rows, lr: f64, extra: &mut Extra, report: &mut Report) -> Result<()> {
        let coefficients = self.config.coefficients();
        let losses = losses(&self.net, self.params().tensor(), rows, &coefficients)?;
        let total = match extra(&self.net, self.params().tensor())? {
            Some(extra) => (&losses.total + extra)?,
            None => losses.total.clone(),
        };
        let norm = self.params.descend(&total, lr)?;
        report.add(&losses, self.config.clip, norm)
    }

    /// Begins from the networks and the observations' moments of a behaviour cloning, see [`crate::bc`].
    ///
    /// # Errors
    /// If an entry is missing or has another shape.
    pub(super) fn begin_from(&mut self, state: &StateDict) -> std::result::Result<(), StateError> {
        state.load_params(PARAMS, self.params.params())?;
        self.obs_normalizer.load("normalizers/obs", state)?;
        self.rollout_normalizer = self.obs_normalizer.clone();
        Ok(())
    }

    /// Writes parameters, optimiser, normalisers, streams and the number of rollouts.
    ///
    /// # Errors
    /// If the device cannot be read.
    pub fn save(&self, out: &mut StateDict) -> std::result::Result<(), StateError> {
        self.params.save("actor_critic", out)?;
        self.obs_normalizer.save("normalizers/obs", out);
        self.rollout_normalizer
            .save("normalizers/obs_at_start", out);
        self.reward_normalizer.save("normalizers/reward", out);
        out.put_stream("streams/explore", &self.explore);
        out.put_stream("streams/shuffle", &self.shuffle);
        out.put_scalar("updates", self.updates);
        Ok(())
    }

    /// Continues from what [`Learner::save`] wrote.
    ///
    /// # Errors
    /// If an entry is missing or has another shape.
    pub fn load(&mut self, from: &StateDict) -> std::result::Result<(), StateError> {
        self.params.load("actor_critic", from)?;
        self.obs_normalizer.load("normalizers/obs", from)?;
        self.rollout_normalizer
            .load("normalizers/obs_at_start", from)?;
        self.reward_normalizer.load("normalizers/reward", from)?;
        self.explore = from.stream("streams/explore")?;
        self.shuffle = from.stream("streams/shuffle")?;
        self.updates = from.scalar("updates")?;
        Ok(())
    }
}
