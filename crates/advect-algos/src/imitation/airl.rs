//! AIRL (Fu et al., arXiv 1710.11248): `D = exp f / (exp f + pi)`, so that `f` is a reward that does not know the student.

use advect_kernels::Params;
use advect_kernels::optim::AdamConfig;
use advect_rl::{MeanMetrics, StateDict, StateError};
use advect_rng::Stream;
use candle_core::{Device, Result, Tensor};
use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

use super::config::ImitationConfig;
use super::model::{Method, Minibatch, RewardModel, Student};
use super::plain::PlainConfig;
use super::reward::counted_cross_entropy;
use super::scorer::Scorer;
use crate::dims::Dims;
use crate::error::AlgoError;
use crate::ppo::PpoConfig;
use crate::validate::not_negative;

/// AIRL's configuration; (C) is the code of FM-IRL's authors (fm_irl.md section 5.2).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DocumentedFields)]
pub struct AirlConfig {
    #[serde(flatten)]
    /// Expert, student and the discriminator's widths.
    pub plain: PlainConfig,
    /// Factor on `log pi` in the logit. The paper's 1; (C) 0.01.
    pub log_prob_coef: f64,
    /// Weight of `mean (|grad f| - 1)^2` between expert and student. (C) 10.
    pub gradient_penalty: f64,
}

impl Default for AirlConfig {
    fn default() -> Self {
        Self {
            plain: PlainConfig::default(),
            log_prob_coef: 1.0,
            gradient_penalty: 10.0,
        }
    }
}

/// AIRL's reward network.
#[derive(Debug)]
pub struct Airl {
    config: AirlConfig,
    scorer: Scorer,
    mix: Stream,
}

impl Method for AirlConfig {
    const NAME: &'static str = "airl";
    type Model = Airl;

    fn parts(&self) -> (&ImitationConfig, &PpoConfig) {
        self.plain.parts()
    }

    fn validate(&self) -> std::result::Result<(), AlgoError> {
        self.plain.validate()?;
        not_negative(&[
            ("log_prob_coef", self.log_prob_coef),
            ("gradient_penalty", self.gradient_penalty),
        ])
    }

    fn model(&self, dims: Dims, seed: u64, device: &Device) -> Result<Airl> {
        let (hidden, adam) = (&self.plain.disc_hidden, AdamConfig::default());
        Ok(Airl {
            scorer: Scorer::new(Self::NAME, hidden, dims, adam, seed, device)?,
            mix: Stream::new(seed, "airl/mix"),
            config: self.clone(),
        })
    }
}

impl Airl {
    /// `log D - log(1 - D) = f(s, a) - log pi(a | s)`.
    fn logit(&self, score: &Tensor, x: &Tensor, student: &dyn Student) -> Result<Tensor> {
        score - (student.log_prob(x)? * self.config.log_prob_coef)?
    }

    /// The penalty at points between a row of the expert and one of the student, uniform on the line.
    fn penalty(&mut self, rows: Minibatch<'_>) -> Result<Tensor> {
        let mut u = vec![0.0; rows.expert.dim(0)?];
        self.mix.fill_uniform(&mut u);
        let u = Tensor::new(u, rows.expert.device())?.unsqueeze(1)?;
        let between = (rows.agent + (rows.expert - rows.agent)?.broadcast_mul(&u)?)?;
        self.scorer.gradient_penalty(&between)
    }
}

impl RewardModel for Airl {
    /// Cross-entropy of expert and student, `log pi` constant, and the gradient penalty.
    fn learn(&mut self, rows: Minibatch<'_>, means: &mut MeanMetrics) -> Result<()> {
        let [theirs, ours] = self.scorer.scores(rows.expert, rows.agent)?;
        let theirs = self.logit(&theirs, rows.expert, rows.student)?;
        let ours = self.logit(&ours, rows.agent, rows.student)?;
        let mut loss = counted_cross_entropy(&theirs, &ours, means)?;
        if self.config.gradient_penalty > 0.0 {
            let penalty = self.penalty(rows)?;
            means.add_tensor("discriminator/gradient_penalty", &penalty)?;
            loss = (loss + (penalty * self.config.gradient_penalty)?)?;
        }
        let lr = self.config.plain.imitation.disc_lr;
        self.scorer.descend(&loss, lr, means)
    }

    fn logits(&mut self, x: &Tensor, student: &dyn Student) -> Result<Vec<f32>> {
        self.logit(&self.scorer.score(x)?, x, student)?.to_vec1()
    }

    fn params(&self) -> &Params {
        self.scorer.params()
    }

    fn save(&self, out: &mut StateDict) -> std::result::Result<(), StateError> {
        out.put_stream("streams/mix", &self.mix);
        self.scorer.save(out)
    }

    fn load(&mut self, from: &StateDict) -> std::result::Result<(), StateError> {
        self.mix = from.stream("streams/mix")?;
        self.scorer.load(from)
    }
}
