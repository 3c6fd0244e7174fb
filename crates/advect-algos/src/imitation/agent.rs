//! The agent: a discriminator rewards a student that learns by PPO (fm_irl.md section 5).

use advect_rl::{
    ActMode, Agent, Batch, Demonstrations, EnvSpec, LoopSettings, MeanMetrics, Metrics, StateDict,
    StateError, TrainError,
};
use advect_rng::Stream;
use candle_core::{Device, Result, Tensor};

use super::adversary::{Adversary, Pupil};
use super::model::{Method, RewardModel};
use crate::dims::Dims;
use crate::error::AlgoError;
use crate::ppo::{Experience, Learner, Policy};

/// Adversarial imitation: in an iteration the student acts, the discriminator learns to tell its rollout from the expert, relabels the
/// rollout, and the student learns from these rewards. The environment's rewards are not looked at.
#[derive(Debug)]
pub struct ImitationAgent<M> {
    name: &'static str,
    table: toml::Table,
    settings: LoopSettings,
    student: Learner,
    adversary: Adversary<M>,
}

impl<M: RewardModel> ImitationAgent<M> {
    /// An agent whose networks are drawn from `seed`.
    ///
    /// # Errors
    /// If the configuration contradicts itself.
    pub fn new<C: Method<Model = M>>(
        config: C,
        dims: Dims,
        seed: u64,
        device: &Device,
    ) -> std::result::Result<Self, AlgoError> {
        let (imitation, student) = config.parts();
        student.validate()?;
        imitation.validate(student.num_envs.saturating_mul(student.rollout_steps))?;
        config.validate()?;
        let model = config.model(dims, seed, device)?;
        Ok(Self {
            name: C::NAME,
            table: crate::registry::to_table(C::NAME, &config)?,
            settings: student.loop_settings(),
            student: Learner::new(C::NAME, student, dims, seed, device)?,
            adversary: Adversary::new(C::NAME, imitation, model, seed, device),
        })
    }

    /// The student.
    pub fn student(&self) -> &Learner {
        &self.student
    }

    /// The discriminator.
    pub fn model(&self) -> &M {
        &self.adversary.model
    }

    /// The discriminator learns from a rollout `[n, o + d]` and rewards it.
    fn judge(&mut self, rollout: &Tensor, means: &mut MeanMetrics) -> Result<Vec<f32>> {
        let (student, adversary) = (&self.student, &mut self.adversary);
        let pupil = Pupil {
            policy: &student.policy(),
            normalized: &|obs| student.normalized(obs),
        };
        if student.updates() == 0 {
            adversary.warm_up(pupil, means)?;
        }
        adversary.learn(rollout, pupil, means)?;
        adversary.rewards(rollout, pupil.policy, means)
    }

    fn update_student(
        &mut self,
        experience: &Experience,
        rewards: Vec<f32>,
        means: &mut MeanMetrics,
    ) -> Result<Metrics> {
        let (student, model) = (&mut self.student, &mut self.adversary.model);
        model.begin_student()?;
        student.learn(experience, rewards, &mut |net, params| {
            model.pull(&Policy { net, params }, means)
        })
    }
}

impl<M: RewardModel> Agent for ImitationAgent<M> {
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
        self.student.act(obs, mode)
    }

    fn observe(&mut self, obs: &Tensor) -> Result<()> {
        self.student.observe(obs)
    }

    /// The student's evaluation action is its mean: it draws nothing.
    fn begin_evaluation(&mut self, _: Stream) {}

    fn update(&mut self, batch: &Batch) -> Result<Metrics> {
        let experience = self.student.take_in(batch)?;
        let rollout = Tensor::cat(&[&experience.obs, &experience.act], 1)?.contiguous()?;
        let mut means = MeanMetrics::default();
        let rewards = self.judge(&rollout, &mut means)?;
        let mut metrics = self.update_student(&experience, rewards, &mut means)?;
        metrics.extend(means.take()?);
        Ok(metrics)
    }

    fn save(&self, out: &mut StateDict) -> std::result::Result<(), StateError> {
        self.student.save(out)?;
        self.adversary.save(out)
    }

    fn load(&mut self, from: &StateDict) -> std::result::Result<(), StateError> {
        self.adversary.load(from)?;
        self.student.load(from)
    }

    fn parameter_hash(&self) -> Result<u64> {
        crate::hash::combined([self.student.params(), self.adversary.model.params()])
    }

    fn config_toml(&self) -> toml::Table {
        self.table.clone()
    }
}
