//! The velocity network of RLDT, of ReinFlow and of their pretraining (rldt.md section 6).

use advect_flow::{NetConfig, RldtNet, VelocityNet};
use advect_kernels::Activation;
use candle_core::Result;
use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

use crate::dims::Dims;
use crate::error::AlgoError;
use crate::validate::{at_least_one, narrowest};

/// Activation of the trunk.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TrunkActivation {
    /// `max(x, 0)`.
    Relu,
    /// `x tanh(softplus(x))`.
    Mish,
}

impl From<TrunkActivation> for Activation {
    fn from(activation: TrunkActivation) -> Self {
        match activation {
            TrunkActivation::Relu => Self::Relu,
            TrunkActivation::Mish => Self::Mish,
        }
    }
}

/// A residual network on `[x, time, s]`, or `[x, time, encoder(s)]`. (C) is the authors' code for Gym.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DocumentedFields)]
pub struct FlowNetwork {
    /// Width of the residual trunk. (C) 512; Furniture 1024.
    pub width: usize,
    /// Residual blocks. (C) 1; Furniture 3.
    pub n_blocks: usize,
    /// LayerNorm in the blocks. (C) no; Furniture yes.
    pub layer_norm: bool,
    /// Activation of the trunk. (C) relu; Furniture mish.
    pub activation: TrunkActivation,
    /// Width of the time's sinusoid and of its embedding. (C) 16; Furniture 32.
    pub time_dim: usize,
    /// Widths of the encoder of the state; none without one. (C) none; Furniture 512, 64.
    pub encoder: Vec<usize>,
}

impl Default for FlowNetwork {
    fn default() -> Self {
        Self {
            width: 512,
            n_blocks: 1,
            layer_norm: false,
            activation: TrunkActivation::Relu,
            time_dim: 16,
            encoder: Vec::new(),
        }
    }
}

impl FlowNetwork {
    /// The network for a task.
    ///
    /// # Errors
    /// If a width is zero.
    pub fn build(&self, dims: Dims) -> Result<VelocityNet> {
        let net = RldtNet {
            hidden: self.width,
            n_blocks: self.n_blocks,
            layer_norm: self.layer_norm,
            activation: self.activation.into(),
            time_dim: self.time_dim,
            cond: self.encoder.clone(),
        };
        VelocityNet::new(&NetConfig::rldt(dims.obs, dims.act, &net)?)
    }

    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// [`AlgoError::Value`] with the key, what is wrong and the fix.
    pub fn validate(&self) -> std::result::Result<(), AlgoError> {
        at_least_one(&[
            ("width", self.width as u64),
            ("n_blocks", self.n_blocks as u64),
        ])?;
        if !self.encoder.is_empty() {
            at_least_one(&[("encoder", narrowest(&self.encoder))])?;
        }
        if self.time_dim < 4 || self.time_dim % 2 == 1 {
            let fix = "give an even number of at least 4: as many sines as cosines";
            return Err(AlgoError::value("time_dim", self.time_dim, fix));
        }
        Ok(())
    }
}
