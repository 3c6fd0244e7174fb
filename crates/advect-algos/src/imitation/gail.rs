//! GAIL (Ho and Ermon, arXiv 1606.03476): `D = sigmoid(f(s, a))` of a plain network.

use advect_kernels::Params;
use advect_kernels::optim::AdamConfig;
use advect_rl::{MeanMetrics, StateDict, StateError};
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

/// GAIL's configuration; it has no setting of its own.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, DocumentedFields)]
pub struct GailConfig {
    #[serde(flatten)]
    /// Expert, student and the discriminator's widths.
    pub plain: PlainConfig,
}

/// GAIL's discriminator.
#[derive(Debug)]
pub struct Gail {
    scorer: Scorer,
    lr: f64,
}

impl Method for GailConfig {
    const NAME: &'static str = "gail";
    type Model = Gail;

    fn parts(&self) -> (&ImitationConfig, &PpoConfig) {
        self.plain.parts()
    }

    fn validate(&self) -> std::result::Result<(), AlgoError> {
        self.plain.validate()
    }

    fn model(&self, dims: Dims, seed: u64, device: &Device) -> Result<Gail> {
        let (hidden, adam) = (&self.plain.disc_hidden, AdamConfig::default());
        Ok(Gail {
            scorer: Scorer::new(Self::NAME, hidden, dims, adam, seed, device)?,
            lr: self.plain.imitation.disc_lr,
        })
    }
}

impl RewardModel for Gail {
    /// `mean -log D(expert) + mean -log(1 - D(student))`.
    fn learn(&mut self, rows: Minibatch<'_>, means: &mut MeanMetrics) -> Result<()> {
        let [theirs, ours] = self.scorer.scores(rows.expert, rows.agent)?;
        let loss = counted_cross_entropy(&theirs, &ours, means)?;
        self.scorer.descend(&loss, self.lr, means)
    }

    fn logits(&mut self, x: &Tensor, _: &dyn Student) -> Result<Vec<f32>> {
        self.scorer.score(x)?.to_vec1()
    }

    fn params(&self) -> &Params {
        self.scorer.params()
    }

    fn save(&self, out: &mut StateDict) -> std::result::Result<(), StateError> {
        self.scorer.save(out)
    }

    fn load(&mut self, from: &StateDict) -> std::result::Result<(), StateError> {
        self.scorer.load(from)
    }
}
