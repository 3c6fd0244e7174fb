//! Layers on slices of a flat buffer.

use std::ops::Range;

use advect_kernels::{Activation, Mlp, ParamLayout};
use candle_core::{Result, Tensor};

use super::norm::layer_norm;

/// The parameters `range` of a network.
pub(super) fn slice(params: &Tensor, range: &Range<usize>) -> Result<Tensor> {
    params.narrow(0, range.start, range.len())
}

/// Linear layers on the last axis.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Dense {
    mlp: Mlp,
    range: Range<usize>,
}

impl Dense {
    /// Layers of these widths, parameters `{name}.{i}.weight` and `{name}.{i}.bias`.
    pub fn new(
        layout: &mut ParamLayout,
        name: &str,
        sizes: &[usize],
        activation: Activation,
    ) -> Result<Self> {
        let mlp = Mlp::new(sizes, activation)?;
        let start = layout.len();
        mlp.push_layout(layout, name);
        let range = start..layout.len();
        Ok(Self { mlp, range })
    }

    /// `[.., in]` to `[.., out]`.
    pub fn forward(&self, params: &Tensor, x: &Tensor) -> Result<Tensor> {
        self.mlp.forward(&slice(params, &self.range)?, x)
    }
}

/// [`layer_norm`] with its parameters.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Norm {
    weight: Range<usize>,
    bias: Range<usize>,
}

impl Norm {
    /// Parameters `{name}.weight` and `{name}.bias`.
    pub fn new(layout: &mut ParamLayout, name: &str, width: usize) -> Self {
        Self {
            weight: layout.push(format!("{name}.weight"), &[width]),
            bias: layout.push(format!("{name}.bias"), &[width]),
        }
    }

    /// The same shape.
    pub fn forward(&self, params: &Tensor, x: &Tensor) -> Result<Tensor> {
        let (weight, bias) = (slice(params, &self.weight)?, slice(params, &self.bias)?);
        layer_norm(x, &weight, &bias)
    }
}
