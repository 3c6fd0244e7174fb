//! WAIL (Xiao et al., arXiv 1906.08113): `f(s, a)` is a potential of regularised optimal transport from student to expert.

use advect_kernels::Params;
use advect_kernels::optim::AdamConfig;
use advect_rl::{MeanMetrics, StateDict, StateError};
use candle_core::{Device, Result, Tensor};
use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

use super::config::ImitationConfig;
use super::model::{Method, Minibatch, RewardModel, Student};
use super::plain::PlainConfig;
use super::reward::record_logits;
use super::scorer::Scorer;
use crate::dims::Dims;
use crate::error::AlgoError;
use crate::ppo::PpoConfig;
use crate::validate::{not_negative, positive};

/// RMSprop with its usual decay 0.99; unlike it, moments are corrected for their start at zero.
const RMSPROP: AdamConfig = AdamConfig {
    beta1: 0.0,
    beta2: 0.99,
    eps: 1e-8,
    weight_decay: 0.0,
    clip_norm: None,
};

/// WAIL's configuration; (C) is the code of FM-IRL's authors (fm_irl.md section 5.2).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DocumentedFields)]
pub struct WailConfig {
    #[serde(flatten)]
    /// Expert, student and the discriminator's widths.
    pub plain: PlainConfig,
    /// Regularisation of the transport: the smaller, the closer `f`'s slope is held to 1. (C) 0.01.
    pub epsilon: f64,
    /// Whether only a gain above the distance is penalised, as the dual of the transport has it. The paper's true; (C) false.
    pub one_sided: bool,
    /// Bound on every parameter after a step; 0 is none. (C) 0.01, of a norm or of each is not known.
    pub weight_clip: f64,
}

impl Default for WailConfig {
    fn default() -> Self {
        Self {
            plain: PlainConfig::default(),
            epsilon: 0.01,
            one_sided: true,
            weight_clip: 0.0,
        }
    }
}

/// WAIL's potential.
#[derive(Debug)]
pub struct Wail {
    config: WailConfig,
    scorer: Scorer,
}

impl Method for WailConfig {
    const NAME: &'static str = "wail";
    type Model = Wail;

    fn parts(&self) -> (&ImitationConfig, &PpoConfig) {
        self.plain.parts()
    }

    fn validate(&self) -> std::result::Result<(), AlgoError> {
        self.plain.validate()?;
        positive(&[("epsilon", self.epsilon)])?;
        not_negative(&[("weight_clip", self.weight_clip)])
    }

    fn model(&self, dims: Dims, seed: u64, device: &Device) -> Result<Wail> {
        let hidden = &self.plain.disc_hidden;
        Ok(Wail {
            scorer: Scorer::new(Self::NAME, hidden, dims, RMSPROP, seed, device)?,
            config: self.clone(),
        })
    }
}

/// `-mean f(x_E) + mean f(x_pi) + mean e^2 / (4 epsilon)`, `e = f(x_E) - f(x_pi) - |x_E - x_pi|` or its positive part; the rows of both are
/// paired as they come.
///
/// # Shapes
/// Scores `[b]`, rows `[b, d]`, to a scalar.
///
/// # Errors
/// On a shape mismatch.
pub fn transport_loss(
    (theirs, expert): (&Tensor, &Tensor),
    (ours, agent): (&Tensor, &Tensor),
    (epsilon, one_sided): (f64, bool),
) -> Result<Tensor> {
    let gain = (theirs - ours)?;
    let distance = (expert - agent)?.sqr()?.sum(1)?.sqrt()?;
    let excess = (&gain - distance)?;
    let excess = if one_sided { excess.relu()? } else { excess };
    (excess.sqr()?.mean_all()? / (4.0 * epsilon))? - gain.mean_all()?
}

impl RewardModel for Wail {
    fn learn(&mut self, rows: Minibatch<'_>, means: &mut MeanMetrics) -> Result<()> {
        let [theirs, ours] = self.scorer.scores(rows.expert, rows.agent)?;
        let WailConfig {
            epsilon,
            one_sided,
            weight_clip,
            ..
        } = self.config;
        let (theirs_at, ours_at) = ((&theirs, rows.expert), (&ours, rows.agent));
        let loss = transport_loss(theirs_at, ours_at, (epsilon, one_sided))?;
        record_logits(&theirs, &ours, means)?;
        means.add_tensor("discriminator/loss", &loss)?;
        let lr = self.config.plain.imitation.disc_lr;
        self.scorer.descend(&loss, lr, means)?;
        match weight_clip > 0.0 {
            true => self.scorer.clamp(weight_clip),
            false => Ok(()),
        }
    }

    /// The potential.
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
