//! Every constant of FM-IRL.

use advect_flow::{NetConfig, TimeEmbedding, VelocityNet};
use candle_core::{Device, Result, Tensor};
use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

use super::matching::Matching;
use super::model::FlowTeacher;
use crate::dims::Dims;
use crate::error::AlgoError;
use crate::imitation::density::{DrawSettings, Noise};
use crate::imitation::{ImitationConfig, Method};
use crate::ppo::PpoConfig;
use crate::scoring::Scoring;
use crate::validate::{at_least_one, not_negative};

/// How the network sees the time (fm_irl.md section 2.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Time {
    /// Sinusoid of 1000 t of width `time_dim` and an MLP.
    Sinusoid,
    /// The authors' two features behind a LayerNorm, which is close to one bit; `time_dim` is the hidden width, 64 in their code.
    LayerNorm,
}

/// The velocity network that is teacher and discriminator. (C) is the authors' code for Maze2d, whose values are the defaults unless the field says
/// otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DocumentedFields)]
pub struct TeacherConfig {
    /// Width of the velocity network. (C) 1024.
    pub width: usize,
    /// Its residual blocks. (C) 3, a depth of 4.
    pub n_blocks: usize,
    /// Width of the label. (C) 1; Hopper and Walker2d 10.
    pub label_dim: usize,
    /// How the network sees the time. Consistent: sinusoid; (C) `layer_norm`.
    pub time: Time,
    /// Width of the time's embedding. 64.
    pub time_dim: usize,
    /// Draws of the two labels. Consistent: shared; (C) independent.
    pub noise: Noise,
    /// Times per unit of flow time, of which losses take one. (C) 100.
    pub fm_num_steps: u32,
    /// Draws that a reward's logit is the mean of, spread over the time. Consistent: 4; (C) 1.
    pub reward_draws: usize,
    /// Weight of the teacher's loss on the expert. (C) 1.
    pub teacher_coef: f64,
    /// Steps of the teacher on the expert alone before the first row is rewarded. (C) 0; the paper's story has some.
    pub teacher_warmup: u64,
    /// Weight of the pull towards the teacher, beta. (C) 1.
    pub pull_coef: f64,
    /// Pairs of the teacher per minibatch of the student. (C) 512; other tasks 1024.
    pub pull_batch: usize,
    /// Pairs that are generated together, of which minibatches draw: once per rollout, or every `pool_every` updates of a student that learns
    /// from a replay; 0 generates afresh for every minibatch. 8192; (C) 0.
    pub pool: usize,
    /// Euler steps of the teacher, `S`. (C) 40.
    pub n_steps: usize,
    /// Arithmetic of the teacher's sampling: `f32` or `bf16`.
    pub sampling: Scoring,
}

impl Default for TeacherConfig {
    fn default() -> Self {
        Self {
            width: 1024,
            n_blocks: 3,
            label_dim: 1,
            time: Time::Sinusoid,
            time_dim: 64,
            noise: Noise::Shared,
            fm_num_steps: 100,
            reward_draws: 4,
            teacher_coef: 1.0,
            teacher_warmup: 0,
            pull_coef: 1.0,
            pull_batch: 512,
            pool: 8192,
            n_steps: 40,
            sampling: Scoring::F32,
        }
    }
}

impl TeacherConfig {
    /// The velocity network over states and actions.
    ///
    /// # Errors
    /// If a width is zero.
    pub fn network(&self, dims: Dims) -> Result<VelocityNet> {
        let time = match self.time {
            Time::Sinusoid => TimeEmbedding::fm_irl(self.time_dim)?,
            Time::LayerNorm => TimeEmbedding::fm_irl_layer_norm(self.time_dim)?,
        };
        let (joint, width) = (dims.obs + dims.act, self.width);
        VelocityNet::new(&NetConfig::fm_irl(
            self.label_dim,
            joint,
            width,
            self.n_blocks,
            time,
        ))
    }

    /// The network's losses.
    pub(super) fn matching<'a>(&self, net: &'a VelocityNet, params: &'a Tensor) -> Matching<'a> {
        Matching {
            net,
            params,
            label_dim: self.label_dim,
        }
    }

    /// How losses and rewards are drawn.
    pub(super) fn draws(&self, dims: Dims) -> DrawSettings {
        DrawSettings {
            noise: self.noise,
            grid: self.fm_num_steps,
            reward_draws: self.reward_draws,
            width: dims.obs + dims.act,
        }
    }

    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// [`AlgoError::Value`] with the key, what is wrong and the fix.
    pub fn validate(&self) -> std::result::Result<(), AlgoError> {
        at_least_one(&[
            ("width", self.width as u64),
            ("label_dim", self.label_dim as u64),
            ("fm_num_steps", self.fm_num_steps.into()),
            ("reward_draws", self.reward_draws as u64),
            ("pull_batch", self.pull_batch as u64),
            ("n_steps", self.n_steps as u64),
        ])?;
        if self.time_dim < 4 || self.time_dim % 2 == 1 {
            let fix = "give an even number of at least 4: as many sines as cosines";
            return Err(AlgoError::value("time_dim", self.time_dim, fix));
        }
        not_negative(&[
            ("teacher_coef", self.teacher_coef),
            ("pull_coef", self.pull_coef),
        ])
    }
}

/// FM-IRL's configuration; the defaults are the authors' for Maze2d unless a field says otherwise.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DocumentedFields)]
pub struct FmIrlConfig {
    #[serde(flatten)]
    /// Expert, discriminator's steps and reward.
    pub imitation: ImitationConfig,
    #[serde(flatten)]
    /// The student.
    pub student: PpoConfig,
    #[serde(flatten)]
    /// Teacher and discriminator.
    pub teacher: TeacherConfig,
}

impl Default for FmIrlConfig {
    fn default() -> Self {
        Self {
            imitation: ImitationConfig::default(),
            student: ImitationConfig::student(),
            teacher: TeacherConfig::default(),
        }
    }
}

impl Method for FmIrlConfig {
    const NAME: &'static str = "fm-irl";
    type Model = FlowTeacher;

    fn parts(&self) -> (&ImitationConfig, &PpoConfig) {
        (&self.imitation, &self.student)
    }

    fn validate(&self) -> std::result::Result<(), AlgoError> {
        self.teacher.validate()
    }

    fn model(&self, dims: Dims, seed: u64, device: &Device) -> Result<FlowTeacher> {
        FlowTeacher::new(&self.teacher, self.imitation.disc_lr, dims, seed, device)
    }
}
