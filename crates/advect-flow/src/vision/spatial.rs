//! The spatial embedding: where each channel of the tokens is strong, in a few features.

use std::ops::Range;

use advect_kernels::{Activation, ParamLayout};
use candle_core::{Result, Tensor};

use super::parts::{Dense, Norm, slice};

/// `f_j = sum_e M_ej relu( LN( W [h_e, extra] ) )_j` (rldt.md section 6).
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Spatial {
    project: Dense,
    norm: Norm,
    /// `M` `[E, F]`.
    mix: Range<usize>,
    embed: usize,
    features: usize,
}

impl Spatial {
    /// From `inputs` numbers of each of `embed` channels; parameters `{name}.0`, `{name}.norm` and `{name}.mix`.
    pub fn new(
        layout: &mut ParamLayout,
        name: &str,
        [inputs, features, embed]: [usize; 3],
    ) -> Result<Self> {
        let sizes = [inputs, features];
        Ok(Self {
            project: Dense::new(layout, name, &sizes, Activation::Relu)?,
            norm: Norm::new(layout, &format!("{name}.norm"), features),
            mix: layout.push(format!("{name}.mix"), &[embed, features]),
            embed,
            features,
        })
    }

    /// Tokens `[B, T, E]` and `extra` `[B, d]` to `[B, F]`.
    pub fn forward(&self, params: &Tensor, tokens: &Tensor, extra: &Tensor) -> Result<Tensor> {
        let channels = tokens.transpose(1, 2)?.contiguous()?;
        let (rows, embed, _) = channels.dims3()?;
        let joined = match extra.dim(1)? {
            0 => channels,
            width => {
                let extra = extra.unsqueeze(1)?.broadcast_as((rows, embed, width))?;
                Tensor::cat(&[&channels, &extra], 2)?
            }
        };
        let found = self.project.forward(params, &joined)?;
        let found = self.norm.forward(params, &found)?.relu()?;
        let mix = slice(params, &self.mix)?.reshape((self.embed, self.features))?;
        found.broadcast_mul(&mix)?.sum(1)
    }
}
