//! What a network sees of an observation: the observation itself, or features of its frames.

use advect_flow::{ImageNet, ImageNetConfig};
use advect_kernels::ParamLayout;
use advect_rl::augment::random_shift;
use advect_rng::Stream;
use candle_core::{DType, Result, Tensor};
use documented::DocumentedFields;
use serde::{Deserialize, Serialize};

use crate::dims::Task;
use crate::error::AlgoError;
use crate::validate::at_least_one;

/// First part of the names of an encoder's parameters.
const PREFIX: &str = "image";

/// The encoder of tasks with frames; without frames nothing of it is used. (C) is the authors' code for Robomimic.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, DocumentedFields)]
pub struct ImageNetwork {
    /// Width of an image's tokens. (C) 128.
    pub image_embed: usize,
    /// Transformer layers on the tokens. (C) 1.
    pub image_layers: usize,
    /// Heads of their attention. (C) 4.
    pub image_heads: usize,
    /// Features of an image. (C) 128.
    pub image_features: usize,
}

impl Default for ImageNetwork {
    fn default() -> Self {
        Self {
            image_embed: 128,
            image_layers: 1,
            image_heads: 4,
            image_features: 128,
        }
    }
}

impl ImageNetwork {
    /// Refuses what makes no sense.
    ///
    /// # Errors
    /// [`AlgoError::Value`] with the key, what is wrong and the fix.
    pub fn validate(&self) -> std::result::Result<(), AlgoError> {
        at_least_one(&[
            ("image_embed", self.image_embed as u64),
            ("image_heads", self.image_heads as u64),
            ("image_features", self.image_features as u64),
        ])?;
        if self.image_embed.is_multiple_of(self.image_heads) {
            return Ok(());
        }
        let fix = format!("give a divisor of image_embed = {}", self.image_embed);
        Err(AlgoError::value("image_heads", self.image_heads, fix))
    }
}

/// How observations become the states that networks are conditioned on.
#[derive(Debug, Clone, PartialEq)]
pub enum Encoder {
    /// They are states, of this width.
    Identity(usize),
    /// They begin with frames, of which features are taken; the numbers behind the frames stay.
    Image(Box<ImageNet>),
}

impl Encoder {
    /// The encoder of a task.
    ///
    /// # Errors
    /// If its frames are too small for a token.
    pub fn of(task: Task, network: &ImageNetwork) -> Result<Self> {
        let Some(image) = task.image else {
            return Ok(Self::Identity(task.dims.obs));
        };
        let config = ImageNetConfig {
            channels: image.channels,
            height: image.height,
            width: image.width,
            extra: task.dims.obs.saturating_sub(image.len()),
            embed: network.image_embed,
            layers: network.image_layers,
            heads: network.image_heads,
            features: network.image_features,
        };
        Ok(Self::Image(Box::new(ImageNet::new(config, PREFIX)?)))
    }

    /// Width of a state.
    pub fn width(&self) -> usize {
        match self {
            Self::Identity(width) => *width,
            Self::Image(net) => net.config().features + net.config().extra,
        }
    }

    /// Numbers of an observation that are no pixels.
    pub fn numbers(&self) -> usize {
        match self {
            Self::Identity(width) => *width,
            Self::Image(net) => net.config().extra,
        }
    }

    /// Channels, rows and columns of the frames.
    pub fn image(&self) -> Option<[usize; 3]> {
        match self {
            Self::Identity(_) => None,
            Self::Image(net) => {
                let config = net.config();
                Some([config.channels, config.height, config.width])
            }
        }
    }

    /// Its parameters, none for a state.
    pub fn layout(&self) -> ParamLayout {
        match self {
            Self::Identity(_) => ParamLayout::new(),
            Self::Image(net) => (**net.layout()).clone(),
        }
    }

    /// Observations with their numbers scaled by `scaled`; pixels stay as they are.
    ///
    /// # Shapes
    /// `obs` `[B, o]`, and the result of the same shape.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn scale(
        &self,
        scaled: impl FnOnce(&Tensor) -> Result<Tensor>,
        obs: &Tensor,
    ) -> Result<Tensor> {
        match (self, self.numbers()) {
            (Self::Identity(_), _) => scaled(obs),
            (Self::Image(_), 0) => Ok(obs.clone()),
            (Self::Image(_), _) => {
                let (pixels, numbers) = self.split(obs)?;
                let pixels = pixels.to_dtype(DType::F32)?;
                Tensor::cat(&[pixels, scaled(&numbers)?], 1)
            }
        }
    }

    /// States of scaled observations, differentiable in the parameters.
    ///
    /// # Shapes
    /// `params` those of [`Encoder::layout`], `obs` `[B, o]` to `[B, width]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn states(&self, params: &Tensor, obs: &Tensor) -> Result<Tensor> {
        let Self::Image(net) = self else {
            return Ok(obs.clone());
        };
        let (pixels, numbers) = self.split(obs)?;
        let features = net.forward(params, &pixels, &numbers)?;
        match net.config().extra {
            0 => Ok(features),
            _ => Tensor::cat(&[features, numbers], 1),
        }
    }

    /// Scaled observations whose frames are shifted by up to `pad` pixels, each by its own; states stay, and draw nothing.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn shifted(&self, obs: &Tensor, pad: usize, stream: &mut Stream) -> Result<Tensor> {
        let Some([channels, height, width]) = self.image() else {
            return Ok(obs.clone());
        };
        let (pixels, numbers) = self.split(obs)?;
        let frames = pixels.reshape(((), channels, height, width))?;
        let frames = random_shift(&frames, pad, stream)?.flatten_from(1)?;
        match numbers.dim(1)? {
            0 => Ok(frames),
            _ => Tensor::cat(&[frames, numbers], 1),
        }
    }

    /// Pixels, and the numbers behind them.
    fn split(&self, obs: &Tensor) -> Result<(Tensor, Tensor)> {
        let pixels = self.image().map_or(0, |sizes| sizes.iter().product());
        let numbers = obs.narrow(1, pixels, obs.dim(1)?.saturating_sub(pixels))?;
        let pixels = obs.narrow(1, 0, pixels)?.contiguous()?;
        Ok((pixels, numbers.to_dtype(DType::F32)?))
    }
}
