//! An encoder of images: two convolutions make tokens, a transformer relates them, a spatial embedding makes them features.
//!
//! The network of RLDT's image tasks (rldt.md section 6; Dosovitskiy et al., arXiv 2010.11929, with the convolutional stem of Xiao et al.,
//! arXiv 2106.14881). Like the other networks it owns sizes and names only.

mod norm;
mod parts;
mod spatial;
mod transformer;
mod unfold;

use std::ops::Range;
use std::sync::Arc;

use advect_kernels::{Activation, KernelError, ParamLayout};
use candle_core::{DType, Result, Tensor};

use crate::error::expect_dims;
use parts::{Dense, Norm};
use spatial::Spatial;
use transformer::Layer;
use unfold::Unfold;

/// Side of the first convolution's windows, and the step between them.
const FIRST: (usize, usize) = (8, 4);
/// The same of the second.
const SECOND: (usize, usize) = (3, 2);

/// Sizes of an [`ImageNet`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageNetConfig {
    /// Channels of the images, three for each frame.
    pub channels: usize,
    /// Rows of the images.
    pub height: usize,
    /// Pixels in a row.
    pub width: usize,
    /// Numbers beside the image that the features may depend on; 0 for none.
    pub extra: usize,
    /// Width of a token. RLDT 128.
    pub embed: usize,
    /// Transformer layers. RLDT 1.
    pub layers: usize,
    /// Heads of their attention. RLDT 4.
    pub heads: usize,
    /// Features, the output. RLDT 128.
    pub features: usize,
}

impl ImageNetConfig {
    /// Rows and columns of the grid of tokens: 11x11 for images of 96x96, 9x9 for 84x84; `None` where an image is too small for a token.
    pub fn grid(&self) -> Option<[usize; 2]> {
        let side = |pixels: usize| {
            let first = unfold::windows(pixels, FIRST)?;
            unfold::windows(first, SECOND)
        };
        Some([side(self.height)?, side(self.width)?])
    }

    fn check(&self) -> Result<[usize; 2]> {
        let refused = |problem: String, fix: &str| {
            candle_core::Error::from(KernelError::Invalid {
                what: "ImageNet".into(),
                problem,
                fix: fix.into(),
            })
        };
        let sizes = [self.channels, self.embed, self.heads, self.features];
        if sizes.contains(&0) || !self.embed.is_multiple_of(self.heads) {
            let problem = format!("a size is 0, or {} heads share {}", self.heads, self.embed);
            return Err(refused(
                problem,
                "let the heads divide the width of a token",
            ));
        }
        let found = format!("images of {}x{} hold no token", self.height, self.width);
        self.grid()
            .ok_or_else(|| refused(found, "give images of 16x16 or more"))
    }
}

/// Features of images.
///
/// ```text
/// h = conv_3x3/2( relu( conv_8x8/4( x/255 - 1/2 ) ) ) + positions        tokens [T, E]
/// h = LN( transformer(h) )
/// f_j = sum_e M_ej relu( LN( W [h_e, extra] ) )_j                        h_e the T values of channel e
/// ```
///
/// Parameters: `{prefix}.conv{0,1}.0`, `{prefix}.norm`, `{prefix}.layer{i}.*`, `{prefix}.position`, `{prefix}.spatial.*`.
#[derive(Debug, Clone, PartialEq)]
pub struct ImageNet {
    config: ImageNetConfig,
    stem: [(Unfold, Dense); 2],
    layers: Vec<Layer>,
    norm: Norm,
    position: Range<usize>,
    spatial: Spatial,
    layout: Arc<ParamLayout>,
}

impl ImageNet {
    /// A network of the given sizes.
    ///
    /// # Errors
    /// If a size is zero, the heads do not divide the tokens' width, or an image is smaller than a token.
    pub fn new(config: ImageNetConfig, prefix: &str) -> Result<Self> {
        let [rows, columns] = config.check()?;
        let (tokens, embed) = (rows * columns, config.embed);
        let mut layout = ParamLayout::new();
        let stem = stem(&config, &mut layout, prefix)?;
        let norm = Norm::new(&mut layout, &format!("{prefix}.norm"), embed);
        let layer = |i| {
            Layer::new(
                &mut layout,
                &format!("{prefix}.layer{i}"),
                embed,
                config.heads,
            )
        };
        let layers = (0..config.layers).map(layer).collect::<Result<_>>()?;
        let position = layout.push(format!("{prefix}.position"), &[tokens, embed]);
        let name = format!("{prefix}.spatial");
        let sizes = [tokens + config.extra, config.features, embed];
        let spatial = Spatial::new(&mut layout, &name, sizes)?;
        Ok(Self {
            config,
            stem,
            layers,
            norm,
            position,
            spatial,
            layout: Arc::new(layout),
        })
    }

    /// Names and shapes of the parameters, in order.
    pub fn layout(&self) -> &Arc<ParamLayout> {
        &self.layout
    }

    /// The sizes.
    pub fn config(&self) -> &ImageNetConfig {
        &self.config
    }

    /// Features of images, differentiable in the parameters and in `extra`.
    ///
    /// # Shapes
    /// `params` `[P]`, `images` `[B, channels height width]` of u8 or f32 from 0 to 255, `extra` `[B, extra]`, to `[B, features]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn forward(&self, params: &Tensor, images: &Tensor, extra: &Tensor) -> Result<Tensor> {
        const OP: &str = "ImageNet::forward";
        let ImageNetConfig {
            channels,
            height,
            width,
            ..
        } = self.config;
        let rows = images.dims().first().copied().unwrap_or(0);
        expect_dims(OP, "params", params, &[self.layout.len()])?;
        expect_dims(OP, "images", images, &[rows, channels * height * width])?;
        expect_dims(OP, "extra", extra, &[rows, self.config.extra])?;
        let tokens = self.tokens(params, images)?;
        self.spatial.forward(params, &tokens, extra)
    }

    /// Related tokens `[B, T, E]`.
    fn tokens(&self, params: &Tensor, images: &Tensor) -> Result<Tensor> {
        let pixels = images
            .detach()
            .to_dtype(DType::F32)?
            .affine(1.0 / 255.0, -0.5)?;
        let [(first, conv0), (second, conv1)] = &self.stem;
        let h = conv0.forward(params, &first.apply(&pixels)?)?.relu()?;
        let h = conv1.forward(params, &second.apply(&h)?)?;
        let (_, tokens, embed) = h.dims3()?;
        let position = parts::slice(params, &self.position)?.reshape((tokens, embed))?;
        let mut h = h.broadcast_add(&position)?;
        for layer in &self.layers {
            h = layer.forward(params, &h)?;
        }
        self.norm.forward(params, &h)
    }
}

/// Both convolutions, as matrix products of unfolded windows.
fn stem(
    config: &ImageNetConfig,
    layout: &mut ParamLayout,
    prefix: &str,
) -> Result<[(Unfold, Dense); 2]> {
    let ImageNetConfig {
        channels,
        height,
        width,
        embed,
        ..
    } = *config;
    let first = Unfold::planes([channels, height, width], FIRST);
    let grid = [height, width].map(|pixels| unfold::windows(pixels, FIRST).unwrap_or(0));
    let second = Unfold::tokens(grid, embed, SECOND);
    let mut dense = |i: usize, inputs: usize| {
        let name = format!("{prefix}.conv{i}");
        Dense::new(layout, &name, &[inputs, embed], Activation::Relu)
    };
    let (conv0, conv1) = (dense(0, first.width())?, dense(1, second.width())?);
    Ok([(first, conv0), (second, conv1)])
}
