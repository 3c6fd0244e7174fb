//! Constants of flow-matching behaviour cloning.

use advect_kernels::Schedule;
use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

use crate::encoder::ImageNetwork;
use crate::error::AlgoError;
use crate::flow_network::FlowNetwork;
use crate::validate::{at_least_one, not_negative, unit_interval};

/// Configuration of pretraining; rldt.md section 7. (C) is the authors' code for Gym, whose epochs are counted in updates here.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DocumentedFields)]
pub struct FlowBcConfig {
    #[serde(flatten)]
    /// The network.
    pub network: FlowNetwork,
    #[serde(flatten)]
    /// The encoder of frames.
    pub image: ImageNetwork,
    /// Largest shift of frames in pixels, their augmentation; 0 is none. (C) 4.
    pub image_shift: usize,
    /// File of the demonstrations: D4RL, Minari, robomimic or OGBench.
    pub data: String,
    /// Episodes of the file that are used, the first ones; 0 is all. (C) all; Robomimic 100.
    pub episodes: usize,
    /// Euler steps of a generated action, `K`. (C) 8.
    pub n_steps: usize,
    /// Largest size of an observation's number after its scaling to `[-1, 1]`; 0 is none. (C) none.
    pub obs_clip: f64,
    /// Evaluates from `x_0 = 0`, which is deterministic. (C) yes for Gym; Furniture and Robomimic draw `x_0`.
    pub zero_noise_eval: bool,
    /// Windows in a minibatch, `B`. (C) 128; others 256.
    pub batch_size: usize,
    /// Learning rate after the warm-up. (C) 1e-3; others 1e-4.
    pub lr: f64,
    /// Learning rate at the end. (C) 1e-4; others 1e-5.
    pub lr_end: f64,
    /// Updates over which the rate rises. (C) one epoch; 1000 here.
    pub lr_warmup: u64,
    /// Update at which the cosine has come down. (C) 200 epochs; `advect pretrain` sets it to the length of its run.
    pub lr_decay: u64,
    /// AdamW's weight decay. (C) 1e-6.
    pub weight_decay: f64,
    /// Step of the moving average of the weights, which act and are fine-tuned. (C) 0.005.
    pub ema_tau: f64,
    /// Updates between two steps of the average. (C) 10.
    pub ema_every: u64,
    /// Update at which averaging begins; before it the average is a copy. (C) 20 epochs; 1000 here.
    pub ema_start: u64,
}

impl Default for FlowBcConfig {
    fn default() -> Self {
        Self {
            network: FlowNetwork::default(),
            image: ImageNetwork::default(),
            image_shift: 4,
            data: String::new(),
            episodes: 0,
            n_steps: 8,
            obs_clip: 0.0,
            zero_noise_eval: true,
            batch_size: 128,
            lr: 1e-3,
            lr_end: 1e-4,
            lr_warmup: 1000,
            lr_decay: 50_000,
            weight_decay: 1e-6,
            ema_tau: 0.005,
            ema_every: 10,
            ema_start: 1000,
        }
    }
}

impl FlowBcConfig {
    /// The learning rate over updates.
    pub fn schedule(&self) -> Schedule {
        Schedule::WarmupCosine {
            lr: self.lr,
            lr_end: self.lr_end,
            warmup: self.lr_warmup,
            total: self.lr_decay,
        }
    }

    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// [`AlgoError::Value`] with the key, what is wrong and the fix.
    pub fn validate(&self) -> Result<(), AlgoError> {
        self.network.validate()?;
        self.image.validate()?;
        at_least_one(&[
            ("n_steps", self.n_steps as u64),
            ("batch_size", self.batch_size as u64),
            ("ema_every", self.ema_every),
        ])?;
        not_negative(&[
            ("lr", self.lr),
            ("lr_end", self.lr_end),
            ("weight_decay", self.weight_decay),
            ("obs_clip", self.obs_clip),
        ])?;
        unit_interval(&[("ema_tau", self.ema_tau)])
    }
}
