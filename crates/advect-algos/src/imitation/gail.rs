//! GAIL (Ho and Ermon, arXiv 1606.03476): a plain network is the discriminator.

use advect_kernels::init::Init;
use advect_kernels::optim::AdamConfig;
use advect_kernels::{Activation, Mlp, ParamLayout, Params};
use advect_rl::{Learned, MeanMetrics, StateDict, StateError};
use advect_rng::Stream;
use candle_core::{Device, Result, Tensor};
use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

use super::agent::{ImitationAgent, Settings};
use super::config::ImitationConfig;
use super::model::RewardModel;
use super::reward::cross_entropy;
use crate::dims::Dims;
use crate::error::AlgoError;
use crate::networks::drawn;
use crate::ppo::PpoConfig;
use crate::validate::{at_least_one, narrowest};

/// GAIL's configuration; (C) is the code of FM-IRL's authors for Maze2d (fm_irl.md sections 2.3 and 5.2), whose values are the defaults.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DocumentedFields)]
pub struct GailConfig {
    #[serde(flatten)]
    /// Expert, discriminator's steps and reward.
    pub imitation: ImitationConfig,
    #[serde(flatten)]
    /// The student.
    pub student: PpoConfig,
    /// Hidden widths of the discriminator, tanh. (C) five times 64; Hand-rotate 128.
    pub disc_hidden: Vec<usize>,
}

impl Default for GailConfig {
    fn default() -> Self {
        Self {
            imitation: ImitationConfig::default(),
            student: ImitationConfig::student(),
            disc_hidden: vec![64; 5],
        }
    }
}

/// GAIL.
pub type GailAgent = ImitationAgent<Discriminator>;

/// An agent whose networks are drawn from `seed`.
///
/// # Errors
/// If the configuration contradicts itself.
pub fn agent(
    config: GailConfig,
    dims: Dims,
    seed: u64,
    device: &Device,
) -> std::result::Result<GailAgent, AlgoError> {
    config.imitation.validate(&config.student)?;
    at_least_one(&[("disc_hidden", narrowest(&config.disc_hidden))])?;
    let settings = Settings {
        name: "gail",
        whole: &config,
        imitation: &config.imitation,
        student: &config.student,
    };
    let model = Discriminator::new(&config, dims, seed, device)?;
    ImitationAgent::new(settings, dims, seed, device, model)
}

/// `D = sigmoid(f(s, a))`.
#[derive(Debug)]
pub struct Discriminator {
    net: Mlp,
    params: Learned,
    lr: f64,
}

impl Discriminator {
    fn new(config: &GailConfig, dims: Dims, seed: u64, device: &Device) -> Result<Self> {
        let sizes = [&[dims.obs + dims.act], config.disc_hidden.as_slice(), &[1]].concat();
        let net = Mlp::new(&sizes, Activation::Tanh)?;
        let mut layout = ParamLayout::new();
        net.push_layout(&mut layout, "disc");
        let mut stream = Stream::new(seed, "gail/discriminator");
        let params = drawn(layout, Init::FanInUniform, 1.0, &mut stream, device)?;
        Ok(Self {
            net,
            params: Learned::new(params, AdamConfig::default())?,
            lr: config.imitation.disc_lr,
        })
    }
}

impl RewardModel for Discriminator {
    /// `mean -log D(expert) + mean -log(1 - D(student))`.
    fn learn(&mut self, expert: &Tensor, agent: &Tensor, means: &mut MeanMetrics) -> Result<()> {
        let rows = expert.dim(0)?;
        let x = Tensor::cat(&[expert, agent], 0)?;
        let logit = self
            .net
            .forward(self.params.params().tensor(), &x)?
            .squeeze(1)?;
        let (theirs, ours) = (logit.narrow(0, 0, rows)?, logit.narrow(0, rows, rows)?);
        let [expert, agent] = cross_entropy(&theirs, &ours)?;
        let norm = self.params.descend(&(&expert + &agent)?, self.lr)?;
        means.add("discriminator/grad_norm", norm);
        means.add_tensor("discriminator/expert_loss", &expert)?;
        means.add_tensor("discriminator/agent_loss", &agent)?;
        means.add_tensor("discriminator/expert_logit", &theirs.mean_all()?)?;
        means.add_tensor("discriminator/agent_logit", &ours.mean_all()?)
    }

    fn logits(&mut self, x: &Tensor) -> Result<Vec<f32>> {
        let params = self.params.params().detached();
        self.net.forward(&params, x)?.squeeze(1)?.to_vec1()
    }

    fn params(&self) -> &Params {
        self.params.params()
    }

    fn save(&self, out: &mut StateDict) -> std::result::Result<(), StateError> {
        self.params.save("discriminator", out)
    }

    fn load(&mut self, from: &StateDict) -> std::result::Result<(), StateError> {
        self.params.load("discriminator", from)
    }
}
