//! The agent whose student learns by soft actor-critic from a replay.

use advect_rl::{
    ActMode, Agent, Batch, Demonstrations, EnvSpec, LoopSettings, MeanMetrics, Metrics,
    ObsNormalizer, StateDict, StateError, TrainError,
};
use advect_rng::Stream;
use candle_core::{Device, Result, Tensor};
use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

use super::adversary::{Adversary, Pupil};
use super::config::ImitationConfig;
use super::model::RewardModel;
use crate::dims::Dims;
use crate::error::AlgoError;
use crate::sac::{Learner, SacConfig};
use crate::validate::{at_least_one, not_negative};

const OBS: &str = "normalizers/obs";
/// The student's streams have names that the discriminator has too.
const STUDENT: &str = "student";

/// What only a student with a replay has.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DocumentedFields)]
pub struct ReplayedConfig {
    /// Updates of the student from one lesson of the discriminator to the next. 4.
    pub disc_every: u64,
    /// Updates of the student from one pool of the teacher's pairs to the next. 1000.
    pub pool_every: u64,
    /// Whether observations are in units of their running deviation. Yes.
    pub normalize_obs: bool,
    /// Clip of a normalised observation; 0 does not clip. 10.
    pub obs_clip: f64,
}

impl Default for ReplayedConfig {
    fn default() -> Self {
        Self {
            disc_every: 4,
            pool_every: 1000,
            normalize_obs: true,
            obs_clip: 10.0,
        }
    }
}

impl ReplayedConfig {
    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// [`AlgoError::Value`] with the key, what is wrong and the fix.
    pub fn validate(&self) -> std::result::Result<(), AlgoError> {
        at_least_one(&[
            ("disc_every", self.disc_every),
            ("pool_every", self.pool_every),
        ])?;
        not_negative(&[("obs_clip", self.obs_clip)])
    }
}

/// Adversarial imitation from a replay: the discriminator learns to tell minibatches from the expert and rewards each of them as it is then.
#[derive(Debug)]
pub struct ReplayedAgent<M> {
    name: &'static str,
    table: toml::Table,
    config: ReplayedConfig,
    settings: LoopSettings,
    student: Learner,
    normalizer: ObsNormalizer,
    adversary: Adversary<M>,
}

impl<M: RewardModel> ReplayedAgent<M> {
    /// An agent of validated settings.
    ///
    /// # Errors
    /// If a width is zero or the device fails.
    pub fn new(
        name: &'static str,
        table: toml::Table,
        (imitation, student, config): (&ImitationConfig, &SacConfig, &ReplayedConfig),
        model: M,
        dims: Dims,
        seed: u64,
        device: &Device,
    ) -> std::result::Result<Self, AlgoError> {
        Ok(Self {
            settings: student.off_policy.loop_settings(),
            student: Learner::new(name, student, dims, seed, device)?,
            normalizer: ObsNormalizer::new(dims.obs, config.obs_clip)?,
            adversary: Adversary::new(name, imitation, model, seed, device),
            config: config.clone(),
            name,
            table,
        })
    }

    fn normalized(&self, obs: &Tensor) -> Result<Tensor> {
        normalized(&self.config, &self.normalizer, obs)
    }

    /// The minibatch in the student's units, with the discriminator's rewards; learns from it first where it is time to.
    fn judged(&mut self, batch: &Batch, means: &mut MeanMetrics) -> Result<Batch> {
        let (obs, next_obs) = (
            self.normalized(&batch.obs)?,
            self.normalized(&batch.next_obs)?,
        );
        let rows = Tensor::cat(&[&obs, &batch.act], 1)?;
        let (config, normalizer) = (&self.config, &self.normalizer);
        let pupil = Pupil {
            policy: &self.student.policy(),
            normalized: &|obs| normalized(config, normalizer, obs),
        };
        if self.student.updates() == 0 {
            self.adversary.warm_up(pupil, means)?;
        }
        if self.student.updates().is_multiple_of(config.disc_every) {
            self.adversary.learn(&rows, pupil, means)?;
        }
        let reward = self.adversary.rewards(&rows, pupil.policy, means)?;
        Ok(Batch {
            obs,
            next_obs,
            reward: Tensor::from_vec(reward, batch.reward.shape(), batch.reward.device())?,
            ..batch.clone()
        })
    }
}

fn normalized(config: &ReplayedConfig, by: &ObsNormalizer, obs: &Tensor) -> Result<Tensor> {
    match config.normalize_obs {
        true => by.apply(obs),
        false => Ok(obs.clone()),
    }
}

impl<M: RewardModel> Agent for ReplayedAgent<M> {
    fn name(&self) -> &'static str {
        self.name
    }

    fn loop_settings(&self) -> LoopSettings {
        self.settings
    }

    fn prepare(
        &mut self,
        env: &EnvSpec,
        _: bool,
    ) -> std::result::Result<Option<Demonstrations>, TrainError> {
        self.adversary.prepare(env)?;
        Ok(None)
    }

    fn demonstrate(
        &mut self,
        demonstrations: Demonstrations,
    ) -> std::result::Result<(), TrainError> {
        self.adversary.demonstrate(demonstrations)
    }

    fn act(&mut self, obs: &Tensor, mode: ActMode) -> Result<Tensor> {
        self.student.act(&self.normalized(obs)?, mode)
    }

    fn observe(&mut self, obs: &Tensor) -> Result<()> {
        match self.config.normalize_obs {
            true => self.normalizer.count(obs),
            false => Ok(()),
        }
    }

    /// The student's evaluation action is `tanh mu`: it draws nothing.
    fn begin_evaluation(&mut self, _: Stream) {}

    fn update(&mut self, batch: &Batch) -> Result<Metrics> {
        let mut means = MeanMetrics::default();
        let batch = self.judged(batch, &mut means)?;
        let (student, model) = (&mut self.student, &mut self.adversary.model);
        if student.updates().is_multiple_of(self.config.pool_every) {
            model.begin_student()?;
        }
        let mut metrics = student.update(&batch, &mut |policy| model.pull(&policy, &mut means))?;
        metrics.extend(means.take()?);
        Ok(metrics)
    }

    fn save(&self, out: &mut StateDict) -> std::result::Result<(), StateError> {
        let mut student = StateDict::new();
        self.student.save(&mut student)?;
        out.put_section(STUDENT, student);
        self.normalizer.save(OBS, out);
        self.adversary.save(out)
    }

    fn load(&mut self, from: &StateDict) -> std::result::Result<(), StateError> {
        self.adversary.load(from)?;
        self.normalizer.load(OBS, from)?;
        self.student.load(&from.section(STUDENT))
    }

    fn parameter_hash(&self) -> Result<u64> {
        let model = [self.adversary.model.params()];
        crate::hash::combined(self.student.buffers().chain(model))
    }

    fn config_toml(&self) -> toml::Table {
        self.table.clone()
    }
}
