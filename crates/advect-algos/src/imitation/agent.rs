//! The agent: a discriminator rewards a student that learns by PPO (fm_irl.md section 5).

use advect_rl::demonstrations::same_demonstrations;
use advect_rl::{
    ActMode, Agent, Batch, Demonstrations, EnvSpec, LoopSettings, MeanMetrics, Metrics, StateDict,
    StateError, TrainError,
};
use advect_rng::Stream;
use candle_core::{Device, Result, Tensor};

use super::config::ImitationConfig;
use super::expert::{self, Expert};
use super::model::{Method, Minibatch, RewardModel, Student};
use crate::dims::Dims;
use crate::error::AlgoError;
use crate::ppo::{Experience, Learner};

/// Adversarial imitation: in an iteration the student acts, the discriminator learns to tell its rollout from the expert, relabels the
/// rollout, and the student learns from these rewards. The environment's rewards are not looked at.
#[derive(Debug)]
pub struct ImitationAgent<M> {
    name: &'static str,
    table: toml::Table,
    config: ImitationConfig,
    settings: LoopSettings,
    device: Device,
    student: Learner,
    model: M,
    expert: Option<Expert>,
    /// Of the demonstrations; 0 before they are read.
    fingerprint: u64,
    /// Which transitions of the expert are kept.
    keep: Stream,
    order: Stream,
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
        imitation.validate(student)?;
        config.validate()?;
        let stream = |name: &str| Stream::new(seed, &format!("{}/{name}", C::NAME));
        Ok(Self {
            name: C::NAME,
            table: crate::registry::to_table(C::NAME, &config)?,
            settings: student.loop_settings(),
            student: Learner::new(C::NAME, student, dims, seed, device)?,
            model: config.model(dims, seed, device)?,
            config: imitation.clone(),
            device: device.clone(),
            expert: None,
            fingerprint: 0,
            keep: stream("expert"),
            order: stream("order"),
        })
    }

    /// The student.
    pub fn student(&self) -> &Learner {
        &self.student
    }

    /// The discriminator.
    pub fn model(&self) -> &M {
        &self.model
    }

    /// What the discriminator learns with.
    fn lesson(&mut self) -> Result<Lesson<'_, M>> {
        let missing = || {
            let problem = "there is no expert: neither `prepare` nor `demonstrate` was called";
            candle_core::Error::Msg(problem.into())
        };
        Ok(Lesson {
            expert: self.expert.as_ref().ok_or_else(missing)?,
            config: &self.config,
            order: &mut self.order,
            student: &self.student,
            model: &mut self.model,
            device: &self.device,
        })
    }

    /// Rewards of a rollout by the discriminator as it is now.
    fn rewards(&mut self, rollout: &Tensor, means: &mut MeanMetrics) -> Result<Vec<f32>> {
        let mut rewards = self.model.logits(rollout, of(&self.student))?;
        let (kind, bonus) = (self.config.reward, self.config.survival_bonus);
        for reward in &mut rewards {
            *reward = kind.of(*reward, bonus);
            means.add("reward/mean", f64::from(*reward));
        }
        Ok(rewards)
    }

    fn update_student(
        &mut self,
        experience: &Experience,
        rewards: Vec<f32>,
        means: &mut MeanMetrics,
    ) -> Result<Metrics> {
        let Self { student, model, .. } = self;
        model.begin_student()?;
        student.learn(experience, rewards, &mut |net, params| {
            model.pull(Student { net, params }, means)
        })
    }
}

/// The networks of a learner.
fn of(learner: &Learner) -> Student<'_> {
    Student {
        net: learner.net(),
        params: learner.params().tensor(),
    }
}

/// Expert, student and discriminator.
struct Lesson<'a, M> {
    expert: &'a Expert,
    config: &'a ImitationConfig,
    order: &'a mut Stream,
    student: &'a Learner,
    model: &'a mut M,
    device: &'a Device,
}

impl<M: RewardModel> Lesson<'_, M> {
    /// The discriminator's passes over a rollout `[n, o + d]`.
    fn learn(self, rollout: &Tensor, means: &mut MeanMetrics) -> Result<()> {
        let (rows, count) = (self.config.disc_batch, rollout.dim(0)?);
        for _ in 0..self.config.disc_epochs {
            let ours = self.order.permutation(count);
            let theirs = self.order.permutation(self.expert.len());
            for (ours, theirs) in ours.chunks_exact(rows).zip(theirs.chunks_exact(rows)) {
                let index = Tensor::from_slice(ours, rows, self.device)?;
                let agent = rollout.index_select(&index, 0)?;
                let expert = self.expert.rows(theirs, self.student, self.device)?;
                let rows = Minibatch {
                    expert: &expert,
                    agent: &agent,
                    student: of(self.student),
                };
                self.model.learn(rows, means)?;
            }
        }
        Ok(())
    }

    /// Whatever the discriminator does before its first step, with statistics of the observations of one rollout.
    fn warm_up(self, means: &mut MeanMetrics) -> Result<()> {
        let mut index = vec![0; self.config.disc_batch];
        let mut rows = || {
            self.order
                .fill_indices(self.expert.len() as u32, &mut index);
            self.expert.rows(&index, self.student, self.device)
        };
        self.model.warm_up(&mut rows, means)
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
        self.demonstrate(expert::read(&self.config, env)?)?;
        Ok(None)
    }

    fn demonstrate(
        &mut self,
        demonstrations: Demonstrations,
    ) -> std::result::Result<(), TrainError> {
        let expert = Expert::new(demonstrations, &self.config, self.keep.clone())?;
        self.fingerprint = expert.fingerprint();
        self.expert = Some(expert);
        Ok(())
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
        if self.student.updates() == 0 {
            self.lesson()?.warm_up(&mut means)?;
        }
        self.lesson()?.learn(&rollout, &mut means)?;
        let rewards = self.rewards(&rollout, &mut means)?;
        let mut metrics = self.update_student(&experience, rewards, &mut means)?;
        metrics.extend(means.take());
        Ok(metrics)
    }

    fn save(&self, out: &mut StateDict) -> std::result::Result<(), StateError> {
        self.student.save(out)?;
        self.model.save(out)?;
        out.put_stream("streams/order", &self.order);
        out.put_stream("streams/expert", &self.keep);
        out.put_scalar("demonstrations", self.fingerprint);
        Ok(())
    }

    fn load(&mut self, from: &StateDict) -> std::result::Result<(), StateError> {
        let saved: u64 = from.scalar("demonstrations")?;
        same_demonstrations(saved, self.fingerprint, &self.config.data)?;
        self.fingerprint = saved;
        self.student.load(from)?;
        self.model.load(from)?;
        self.order = from.stream("streams/order")?;
        self.keep = from.stream("streams/expert")?;
        if let Some(expert) = &mut self.expert {
            expert.choose(self.keep.clone());
        }
        Ok(())
    }

    fn parameter_hash(&self) -> Result<u64> {
        crate::hash::combined([self.student.params(), self.model.params()])
    }

    fn config_toml(&self) -> toml::Table {
        self.table.clone()
    }
}
