//! VAIL (Peng et al., arXiv 1810.00821): the discriminator sees a code of the row, and codes may carry little information.

use advect_kernels::init::Init;
use advect_kernels::optim::AdamConfig;
use advect_kernels::params::slice_params;
use advect_kernels::{Activation, Mlp, ParamLayout, Params, random};
use advect_rl::{Learned, MeanMetrics, StateDict, StateError};
use advect_rng::Stream;
use candle_core::{D, Device, Result, Tensor};
use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

use super::config::ImitationConfig;
use super::model::{Method, Minibatch, RewardModel, Student};
use super::plain::PlainConfig;
use super::reward::counted_cross_entropy;
use crate::dims::Dims;
use crate::error::AlgoError;
use crate::networks::drawn;
use crate::ppo::PpoConfig;
use crate::validate::{at_least_one, not_negative};

/// VAIL's configuration; (C) is the code of FM-IRL's authors (fm_irl.md section 2.3).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DocumentedFields)]
pub struct VailConfig {
    #[serde(flatten)]
    /// Expert, student and the discriminator's widths.
    pub plain: PlainConfig,
    /// Numbers in a code.
    pub code_dim: usize,
    /// Weight of the codes' divergence from standard normals. (C) 1e-3.
    pub bottleneck_coef: f64,
    /// Whether the discriminator learns from codes that are drawn. The paper's true; (C) false, their means.
    pub sample_code: bool,
}

impl Default for VailConfig {
    fn default() -> Self {
        Self {
            plain: PlainConfig::default(),
            code_dim: 32,
            bottleneck_coef: 1e-3,
            sample_code: true,
        }
    }
}

impl Method for VailConfig {
    const NAME: &'static str = "vail";
    type Model = Vail;

    fn parts(&self) -> (&ImitationConfig, &PpoConfig) {
        self.plain.parts()
    }

    fn validate(&self) -> std::result::Result<(), AlgoError> {
        self.plain.validate()?;
        at_least_one(&[("code_dim", self.code_dim as u64)])?;
        not_negative(&[("bottleneck_coef", self.bottleneck_coef)])
    }

    fn model(&self, dims: Dims, seed: u64, device: &Device) -> Result<Vail> {
        Vail::new(self, dims, seed, device)
    }
}

/// VAIL's discriminator: an encoder to mean and deviation of a code, and a linear layer on the code.
#[derive(Debug)]
pub struct Vail {
    config: VailConfig,
    encoder: Mlp,
    head: Mlp,
    params: Learned,
    code: Stream,
}

/// Diagonal Gaussians of codes.
#[derive(Debug, Clone)]
pub struct Codes {
    /// `tanh` of the encoder's first half, `[n, z]`.
    pub mean: Tensor,
    /// `sigmoid` of the `tanh` of its second half, `[n, z]`.
    pub std: Tensor,
}

impl Codes {
    /// `mean_n KL( N(mean, std^2) | N(0, I) ) = mean_n sum_i ( (mean^2 + std^2 - 1) / 2 - log std )`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn divergence(&self) -> Result<Tensor> {
        let spread = ((self.mean.sqr()? + self.std.sqr()?)? - 1.0)?;
        ((spread * 0.5)? - self.std.log()?)?.sum(1)?.mean_all()
    }

    /// `mean + std eps`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn at(&self, eps: &Tensor) -> Result<Tensor> {
        &self.mean + (&self.std * eps)?
    }
}

impl Vail {
    fn new(config: &VailConfig, dims: Dims, seed: u64, device: &Device) -> Result<Self> {
        let (inputs, code) = (dims.obs + dims.act, config.code_dim);
        let sizes = [&[inputs], config.plain.disc_hidden.as_slice(), &[2 * code]].concat();
        let (encoder, head) = (
            Mlp::new(&sizes, Activation::Tanh)?,
            Mlp::new(&[code, 1], Activation::Tanh)?,
        );
        let mut layout = ParamLayout::new();
        encoder.push_layout(&mut layout, "encoder");
        head.push_layout(&mut layout, "head");
        let stream = |name: &str| Stream::new(seed, &format!("vail/{name}"));
        let mut init = stream("discriminator");
        let params = drawn(layout, Init::FanInUniform, 1.0, &mut init, device)?;
        Ok(Self {
            config: config.clone(),
            encoder,
            head,
            params: Learned::new(params, AdamConfig::default())?,
            code: stream("code"),
        })
    }

    /// The codes of rows; differentiable in the parameters.
    ///
    /// # Shapes
    /// `params` `[N]`, `x` `[n, d]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn codes(&self, params: &Tensor, x: &Tensor) -> Result<Codes> {
        let own = slice_params(params, 0..self.encoder.num_params())?;
        let out = self.encoder.forward(&own, x)?.tanh()?;
        let width = self.config.code_dim;
        // sigmoid(y) = (1 + tanh(y / 2)) / 2
        let half = (out.narrow(1, width, width)? * 0.5)?.tanh()?;
        Ok(Codes {
            mean: out.narrow(1, 0, width)?,
            std: half.affine(0.5, 0.5)?,
        })
    }

    /// The logit of codes; differentiable in the parameters.
    fn logit(&self, params: &Tensor, code: &Tensor) -> Result<Tensor> {
        let start = self.encoder.num_params();
        let own = slice_params(params, start..start + self.head.num_params())?;
        self.head.forward(&own, code)?.squeeze(D::Minus1)
    }
}

impl RewardModel for Vail {
    /// Cross-entropy of expert and student at their codes, and the codes' divergence from standard normals.
    fn learn(&mut self, rows: Minibatch<'_>, means: &mut MeanMetrics) -> Result<()> {
        let x = Tensor::cat(&[rows.expert, rows.agent], 0)?;
        let codes = self.codes(self.params.params().tensor(), &x)?;
        let code = match self.config.sample_code {
            true => {
                let shape = codes.mean.shape();
                codes.at(&random::normal(&mut self.code, shape, x.device())?)?
            }
            false => codes.mean.contiguous()?,
        };
        let logit = self.logit(self.params.params().tensor(), &code)?;
        let (theirs, ours) = (rows.expert.dim(0)?, rows.agent.dim(0)?);
        let (theirs, ours) = (logit.narrow(0, 0, theirs)?, logit.narrow(0, theirs, ours)?);
        let loss = counted_cross_entropy(&theirs, &ours, means)?;
        let divergence = codes.divergence()?;
        means.add_tensor("discriminator/code_divergence", &divergence)?;
        let loss = (loss + (divergence * self.config.bottleneck_coef)?)?;
        let lr = self.config.plain.imitation.disc_lr;
        let norm = self.params.descend(&loss, lr)?;
        means.add_tensor("discriminator/grad_norm", &norm)?;
        Ok(())
    }

    /// The logit of the mean code.
    fn logits(&mut self, x: &Tensor, _: &dyn Student) -> Result<Vec<f32>> {
        let params = self.params.params().detached();
        let codes = self.codes(&params, x)?;
        self.logit(&params, &codes.mean.contiguous()?)?.to_vec1()
    }

    fn params(&self) -> &Params {
        self.params.params()
    }

    fn save(&self, out: &mut StateDict) -> std::result::Result<(), StateError> {
        out.put_stream("streams/code", &self.code);
        self.params.save("discriminator", out)
    }

    fn load(&mut self, from: &StateDict) -> std::result::Result<(), StateError> {
        self.code = from.stream("streams/code")?;
        self.params.load("discriminator", from)
    }
}
