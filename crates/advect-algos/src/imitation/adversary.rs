//! The discriminator's side of adversarial imitation: expert, discriminator, and how it learns and rewards.

use advect_rl::demonstrations::same_demonstrations;
use advect_rl::{Demonstrations, EnvSpec, MeanMetrics, StateDict, StateError, TrainError};
use advect_rng::Stream;
use candle_core::{Device, Result, Tensor};

use super::config::ImitationConfig;
use super::expert::{self, Expert};
use super::model::{Minibatch, RewardModel, Student};

/// Expert and discriminator.
#[derive(Debug)]
pub struct Adversary<M> {
    config: ImitationConfig,
    device: Device,
    pub(super) model: M,
    expert: Option<Expert>,
    /// Of the demonstrations; 0 before they are read.
    fingerprint: u64,
    /// Which transitions of the expert are kept.
    keep: Stream,
    order: Stream,
}

/// The student, and its units of observations `[n, o]`.
#[derive(Clone, Copy)]
pub(super) struct Pupil<'a> {
    pub policy: &'a dyn Student,
    pub normalized: &'a dyn Fn(&Tensor) -> Result<Tensor>,
}

impl<M: RewardModel> Adversary<M> {
    /// Before the demonstrations are read; streams are `{family}/...`.
    pub(super) fn new(
        family: &str,
        config: &ImitationConfig,
        model: M,
        seed: u64,
        device: &Device,
    ) -> Self {
        let stream = |name: &str| Stream::new(seed, &format!("{family}/{name}"));
        Self {
            config: config.clone(),
            device: device.clone(),
            model,
            expert: None,
            fingerprint: 0,
            keep: stream("expert"),
            order: stream("order"),
        }
    }

    /// Reads the demonstrations of the configuration.
    pub(super) fn prepare(&mut self, env: &EnvSpec) -> std::result::Result<(), TrainError> {
        self.demonstrate(expert::read(&self.config, env)?)
    }

    pub(super) fn demonstrate(
        &mut self,
        demonstrations: Demonstrations,
    ) -> std::result::Result<(), TrainError> {
        let expert = Expert::new(demonstrations, &self.config, self.keep.clone())?;
        self.fingerprint = expert.fingerprint();
        self.expert = Some(expert);
        Ok(())
    }

    /// Whatever the discriminator does before its first step, with the present statistics of the observations.
    pub(super) fn warm_up(&mut self, pupil: Pupil<'_>, means: &mut MeanMetrics) -> Result<()> {
        let Self {
            config,
            device,
            model,
            expert,
            order,
            ..
        } = self;
        let expert = known(expert.as_ref())?;
        let mut index = vec![0; config.disc_batch];
        let mut rows = || {
            order.fill_indices(expert.len() as u32, &mut index);
            expert.rows(&index, pupil.normalized, device)
        };
        model.warm_up(&mut rows, means)
    }

    /// The discriminator's passes over rows of the student `[n, o + d]`.
    pub(super) fn learn(
        &mut self,
        ours: &Tensor,
        pupil: Pupil<'_>,
        means: &mut MeanMetrics,
    ) -> Result<()> {
        let expert = known(self.expert.as_ref())?;
        let (rows, count) = (self.config.disc_batch, ours.dim(0)?);
        for _ in 0..self.config.disc_epochs {
            let own = self.order.permutation(count);
            let theirs = self.order.permutation(expert.len());
            for (own, theirs) in own.chunks_exact(rows).zip(theirs.chunks_exact(rows)) {
                let index = Tensor::from_slice(own, rows, &self.device)?;
                let agent = ours.index_select(&index, 0)?;
                let expert = expert.rows(theirs, pupil.normalized, &self.device)?;
                let rows = Minibatch {
                    expert: &expert,
                    agent: &agent,
                    student: pupil.policy,
                };
                self.model.learn(rows, means)?;
            }
        }
        Ok(())
    }

    /// Rewards of rows `[n, o + d]` by the discriminator as it is now, `n` numbers.
    pub(super) fn rewards(
        &mut self,
        rows: &Tensor,
        student: &dyn Student,
        means: &mut MeanMetrics,
    ) -> Result<Vec<f32>> {
        let mut rewards = self.model.logits(rows, student)?;
        let (kind, bonus) = (self.config.reward, self.config.survival_bonus);
        for reward in &mut rewards {
            *reward = kind.of(*reward, bonus);
            means.add("reward/mean", f64::from(*reward));
        }
        Ok(rewards)
    }

    pub(super) fn save(&self, out: &mut StateDict) -> std::result::Result<(), StateError> {
        self.model.save(out)?;
        out.put_stream("streams/order", &self.order);
        out.put_stream("streams/expert", &self.keep);
        out.put_scalar("demonstrations", self.fingerprint);
        Ok(())
    }

    pub(super) fn load(&mut self, from: &StateDict) -> std::result::Result<(), StateError> {
        let saved: u64 = from.scalar("demonstrations")?;
        same_demonstrations(saved, self.fingerprint, &self.config.data)?;
        self.fingerprint = saved;
        self.model.load(from)?;
        self.order = from.stream("streams/order")?;
        self.keep = from.stream("streams/expert")?;
        if let Some(expert) = &mut self.expert {
            expert.choose(self.keep.clone());
        }
        Ok(())
    }
}

fn known(expert: Option<&Expert>) -> Result<&Expert> {
    let missing = || {
        let problem = "there is no expert: neither `prepare` nor `demonstrate` was called";
        candle_core::Error::Msg(problem.into())
    };
    expert.ok_or_else(missing)
}
