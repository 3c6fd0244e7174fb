//! Initial parameters, drawn from a named stream.

use advect_rng::Stream;

use crate::params::{ParamEntry, ParamLayout};

/// How the weights of a linear layer start; biases follow the scheme's own rule.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Init {
    /// Weights `sigma * n`, `n` a standard normal truncated to `[-2, 2]`, `sigma = scale / sqrt(fan_in)`; biases zero.
    /// `scale = 1` is Haiku's default (FLAME), `scale = 1/2` QVPO's.
    TruncatedNormal {
        /// Factor on `1 / sqrt(fan_in)`.
        scale: f32,
    },
    /// Weights and biases `U(-b, b)`, `b = 1 / sqrt(fan_in)`: PyTorch's default linear layer.
    FanInUniform,
    /// Weights `U(-b, b)`, `b = sqrt(6 / (fan_in + fan_out))`; biases zero (Glorot and Bengio).
    XavierUniform,
}

/// Draws the values of one network in the order of `layout`: tensors of rank 2 are weights `[out, in]`, the
/// tensor of rank 1 after a weight is its bias, any other tensor of rank 1 stays zero.
pub fn draw(layout: &ParamLayout, scheme: Init, stream: &mut Stream) -> Vec<f32> {
    let mut values = vec![0.0; layout.len()];
    let mut fan_in = None;
    for entry in layout.entries() {
        let out = &mut values[entry.range()];
        if let [_, inputs] = entry.shape[..] {
            fan_in = Some(inputs);
            draw_weight(entry, scheme, stream, out);
        } else if let Some(inputs) = fan_in.take() {
            draw_bias(inputs, scheme, stream, out);
        }
    }
    values
}

fn draw_weight(entry: &ParamEntry, scheme: Init, stream: &mut Stream, out: &mut [f32]) {
    let (fan_out, fan_in) = (entry.shape[0] as f32, entry.shape[1] as f32);
    match scheme {
        Init::TruncatedNormal { scale } => {
            stream.fill_truncated_standard_normal(-2.0, 2.0, out);
            let sigma = scale / fan_in.sqrt();
            out.iter_mut().for_each(|w| *w *= sigma);
        }
        Init::FanInUniform => fill_symmetric(stream, fan_in.sqrt().recip(), out),
        Init::XavierUniform => fill_symmetric(stream, (6.0 / (fan_in + fan_out)).sqrt(), out),
    }
}

fn draw_bias(fan_in: usize, scheme: Init, stream: &mut Stream, out: &mut [f32]) {
    if scheme == Init::FanInUniform {
        fill_symmetric(stream, (fan_in as f32).sqrt().recip(), out);
    }
}

fn fill_symmetric(stream: &mut Stream, bound: f32, out: &mut [f32]) {
    stream.fill_uniform_range(-bound, bound, out);
}
