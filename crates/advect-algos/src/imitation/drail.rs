//! DRAIL (Lai et al., arXiv 2405.16194): as FM-IRL's discriminator, with the losses of a diffusion model.

use advect_flow::NoiseSchedule;
use advect_kernels::Params;
use advect_kernels::optim::AdamConfig;
use advect_rl::{Learned, MeanMetrics, StateDict, StateError};
use advect_rng::Stream;
use candle_core::{DType, Device, Result, Tensor};
use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

use super::config::ImitationConfig;
use super::density::query::{all, apart};
use super::density::{Density, DrawSettings, Draws, Noise, Query};
use super::model::{Method, Minibatch, RewardModel, Student};
use super::step_network::StepNetwork;
use crate::dims::Dims;
use crate::error::AlgoError;
use crate::ppo::PpoConfig;
use crate::validate::at_least_one;

/// The cosine schedule's offset and largest beta (Nichol and Dhariwal, arXiv 2102.09672).
const COSINE: (f64, f64) = (0.008, 0.999);

/// DRAIL's configuration; (C) is the code of FM-IRL's authors for Maze2d (fm_irl.md sections 2.3 and 5.2), whose values are the defaults
/// unless the field says otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DocumentedFields)]
pub struct DrailConfig {
    #[serde(flatten)]
    /// Expert, discriminator's steps and reward.
    pub imitation: ImitationConfig,
    #[serde(flatten)]
    /// The student.
    pub student: PpoConfig,
    /// Width of the network. (C) 1024 for Ant-goal and locomotion; of Maze2d it is not known.
    pub width: usize,
    /// Its hidden layers, ReLU.
    pub depth: usize,
    /// Width of the label. (C) 10.
    pub label_dim: usize,
    /// Steps of the diffusion. (C) 1000.
    pub diffusion_steps: u32,
    /// Draws of the two labels. Consistent: shared; (C) independent.
    pub noise: Noise,
    /// Draws that a reward's logit is the mean of, spread over the steps. Consistent: 4; (C) 1.
    pub reward_draws: usize,
}

impl Default for DrailConfig {
    fn default() -> Self {
        Self {
            imitation: ImitationConfig {
                disc_epochs: 5,
                ..ImitationConfig::default()
            },
            student: PpoConfig {
                epochs: 5,
                ..ImitationConfig::student()
            },
            width: 128,
            depth: 4,
            label_dim: 10,
            diffusion_steps: 1000,
            noise: Noise::Shared,
            reward_draws: 4,
        }
    }
}

impl Method for DrailConfig {
    const NAME: &'static str = "drail";
    type Model = Drail;

    fn parts(&self) -> (&ImitationConfig, &PpoConfig) {
        (&self.imitation, &self.student)
    }

    fn validate(&self) -> std::result::Result<(), AlgoError> {
        at_least_one(&[
            ("width", self.width as u64),
            ("depth", self.depth as u64),
            ("label_dim", self.label_dim as u64),
            ("diffusion_steps", self.diffusion_steps.into()),
            ("reward_draws", self.reward_draws as u64),
        ])
    }

    fn model(&self, dims: Dims, seed: u64, device: &Device) -> Result<Drail> {
        Drail::new(self, dims, seed, device)
    }
}

/// The diffusion model of rows under a label.
#[derive(Debug)]
pub struct Denoiser {
    net: StepNetwork,
    schedule: NoiseSchedule,
    label_dim: usize,
}

impl Denoiser {
    /// The model of rows of this width.
    fn new(config: &DrailConfig, width: usize) -> Result<Self> {
        let (label_dim, n_steps) = (config.label_dim, config.diffusion_steps as usize);
        let hidden = vec![config.width; config.depth];
        let sizes = [vec![width + label_dim], hidden, vec![width]].concat();
        let (s, beta_max) = COSINE;
        Ok(Self {
            net: StepNetwork::new(&sizes, n_steps)?,
            schedule: NoiseSchedule::cosine(n_steps, s, beta_max)?,
            label_dim,
        })
    }

    /// With these parameters `[N]`.
    fn at<'a>(&'a self, params: &'a Tensor) -> Denoising<'a> {
        Denoising {
            model: self,
            params,
        }
    }
}

/// The model and its parameters.
#[derive(Debug, Clone, Copy)]
struct Denoising<'a> {
    model: &'a Denoiser,
    params: &'a Tensor,
}

impl Density for Denoising<'_> {
    /// `l(x | c) = |eps(x_k, c, k) - x_0|^2 / d`: `x_0` is the noise, `x_k = sqrt(alpha_bar_k) x + sqrt(1 - alpha_bar_k) x_0`, `k` the time
    /// times the number of steps.
    fn losses<const Q: usize>(&self, queries: [Query<'_>; Q]) -> Result<[Tensor; Q]> {
        let Denoiser {
            net,
            schedule,
            label_dim,
        } = self.model;
        let x = all(&queries, |query| Ok(query.x.clone()))?;
        let noise = all(&queries, |query| Ok(query.draw.x_0.clone()))?;
        let label = all(&queries, |query| {
            query.label.rows(query.x.dim(0)?, *label_dim, query.x)
        })?;
        let t = all(&queries, |query| Ok(query.draw.t.clone()))?;
        let k = (t * schedule.n_steps() as f64)?.round()?;
        let k = k.to_dtype(DType::U32)?;
        let x_k = schedule.noised(&x, &noise, &k)?;
        let found = net.forward(self.params, &Tensor::cat(&[&x_k, &label], 1)?, &k)?;
        apart(&(found - noise)?.sqr()?.mean(1)?, &queries)
    }
}

/// DRAIL's discriminator.
#[derive(Debug)]
pub struct Drail {
    model: Denoiser,
    params: Learned,
    draws: Draws,
    lr: f64,
}

impl Drail {
    fn new(config: &DrailConfig, dims: Dims, seed: u64, device: &Device) -> Result<Self> {
        let width = dims.obs + dims.act;
        let model = Denoiser::new(config, width)?;
        let mut init = Stream::new(seed, "drail/discriminator");
        let params = model.net.draw(&mut init, device)?;
        let settings = DrawSettings {
            noise: config.noise,
            grid: config.diffusion_steps,
            reward_draws: config.reward_draws,
            width,
        };
        Ok(Self {
            model,
            params: Learned::new(params, AdamConfig::default())?,
            draws: Draws::new(settings, DrailConfig::NAME, seed, device),
            lr: config.imitation.disc_lr,
        })
    }
}

impl RewardModel for Drail {
    /// The cross-entropies; the generative model has no loss of its own.
    fn learn(&mut self, rows: Minibatch<'_>, means: &mut MeanMetrics) -> Result<()> {
        let density = self.model.at(self.params.params().tensor());
        let losses = self.draws.losses(rows.expert, rows.agent, &density, None)?;
        let norm = self.params.descend(&losses.total, self.lr)?;
        means.add_tensor("discriminator/grad_norm", &norm)?;
        losses.record(means)
    }

    fn logits(&mut self, x: &Tensor, _: &dyn Student) -> Result<Vec<f32>> {
        let params = self.params.params().detached();
        self.draws.logits(x, &self.model.at(&params))
    }

    fn params(&self) -> &Params {
        self.params.params()
    }

    fn save(&self, out: &mut StateDict) -> std::result::Result<(), StateError> {
        self.params.save("discriminator", out)?;
        self.draws.save(out);
        Ok(())
    }

    fn load(&mut self, from: &StateDict) -> std::result::Result<(), StateError> {
        self.params.load("discriminator", from)?;
        self.draws.load(from)
    }
}
