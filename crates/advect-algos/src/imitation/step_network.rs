//! A perceptron with a learned vector per layer and diffusion step, DRAIL's network (fm_irl.md section 2.3).

use std::ops::Range;
use std::sync::Arc;

use advect_kernels::init::{self, Init};
use advect_kernels::params::slice_params;
use advect_kernels::{Activation, Mlp, ParamLayout, Params};
use advect_rng::Stream;
use candle_core::{Device, Result, Tensor};

/// `h <- relu( W_i h + b_i + e_i[k] )` in hidden layers, a linear layer at the end.
#[derive(Debug, Clone)]
pub struct StepNetwork {
    layers: Vec<Layer>,
    n_steps: usize,
    layout: Arc<ParamLayout>,
}

/// A layer and its place in the buffer; the last has no steps.
#[derive(Debug, Clone)]
struct Layer {
    linear: Mlp,
    range: Range<usize>,
    steps: Option<Range<usize>>,
}

impl StepNetwork {
    /// A network with layer widths `sizes`, input first, for steps `0..n_steps`.
    ///
    /// # Errors
    /// If a width is zero.
    pub fn new(sizes: &[usize], n_steps: usize) -> Result<Self> {
        let (mut layout, mut layers) = (ParamLayout::new(), Vec::new());
        let count = sizes.len().saturating_sub(1);
        for (i, widths) in sizes.windows(2).enumerate() {
            let linear = Mlp::new(widths, Activation::Relu)?;
            let start = layout.len();
            linear.push_layout(&mut layout, &format!("layers.{i}"));
            let range = start..layout.len();
            let steps =
                (i + 1 < count).then(|| layout.push(format!("steps.{i}"), &[n_steps, widths[1]]));
            layers.push(Layer {
                linear,
                range,
                steps,
            });
        }
        Ok(Self {
            layers,
            n_steps,
            layout: Arc::new(layout),
        })
    }

    /// PyTorch's initial values: linear layers uniform in the root of the fan-in, step vectors standard normal.
    ///
    /// # Errors
    /// If the device fails.
    pub fn draw(&self, stream: &mut Stream, device: &Device) -> Result<Params> {
        let mut values = init::draw(&self.layout, Init::FanInUniform, stream);
        for steps in self.layers.iter().filter_map(|layer| layer.steps.clone()) {
            stream.fill_normal(&mut values[steps]);
        }
        Params::from_vec(self.layout.clone(), None, values, device)
    }

    /// The output at rows and steps; differentiable in the parameters.
    ///
    /// # Shapes
    /// `params` `[N]`, `x` `[B, in]`, `k` `[B]` u32 to `[B, out]`.
    ///
    /// # Errors
    /// On a shape mismatch, or a step that is not below `n_steps`.
    pub fn forward(&self, params: &Tensor, x: &Tensor, k: &Tensor) -> Result<Tensor> {
        let mut h = x.clone();
        for layer in &self.layers {
            let own = slice_params(params, layer.range.clone())?;
            h = layer.linear.forward(&own, &h)?;
            if let Some(steps) = layer.steps.clone() {
                let table = slice_params(params, steps)?.reshape((self.n_steps, ()))?;
                h = (h + table.index_select(k, 0)?)?.relu()?;
            }
        }
        Ok(h)
    }
}
