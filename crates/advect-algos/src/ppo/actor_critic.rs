//! The two networks and the free deviations in one buffer.

use std::f32::consts::SQRT_2;
use std::ops::Range;
use std::sync::Arc;

use advect_kernels::init::{self, Init};
use advect_kernels::params::slice_params;
use advect_kernels::{Activation, Mlp, ParamLayout};
use advect_rng::Stream;
use candle_core::{D, Result, Tensor};

use crate::dims::Dims;

/// `pi(a | s) = N(mu(s), diag sigma^2)` with `log sigma` free of the state, and `V(s)`: separate networks, tanh.
#[derive(Debug, Clone, PartialEq)]
pub struct ActorCritic {
    actor: Part,
    log_std: Range<usize>,
    value: Part,
    layout: Arc<ParamLayout>,
}

/// A network and its place in the buffer.
#[derive(Debug, Clone, PartialEq)]
struct Part {
    mlp: Mlp,
    range: Range<usize>,
}

impl Part {
    fn push(layout: &mut ParamLayout, prefix: &str, sizes: &[usize]) -> Result<Self> {
        let mlp = Mlp::new(sizes, Activation::Tanh)?;
        let start = layout.len();
        mlp.push_layout(layout, prefix);
        let range = start..layout.len();
        Ok(Self { mlp, range })
    }

    fn forward(&self, params: &Tensor, obs: &Tensor) -> Result<Tensor> {
        let own = slice_params(params, self.range.clone())?;
        self.mlp.forward(&own, obs)
    }

    /// Indices of the last layer's weight, which its bias follows.
    fn head(&self) -> Range<usize> {
        let sizes = self.mlp.sizes();
        let (inputs, outputs) = (sizes[sizes.len() - 2], sizes[sizes.len() - 1]);
        let end = self.range.end - outputs;
        end - inputs * outputs..end
    }
}

/// Initial values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Start {
    /// Initial `log sigma`.
    pub log_std: f64,
    /// Gain of the mean's last layer.
    pub policy_head: f64,
    /// Gain of the value's last layer.
    pub value_head: f64,
}

impl ActorCritic {
    /// Networks with these hidden widths.
    ///
    /// # Errors
    /// If a width is zero.
    pub fn new(dims: Dims, actor_hidden: &[usize], value_hidden: &[usize]) -> Result<Self> {
        let mut layout = ParamLayout::new();
        let sizes = |hidden: &[usize], outputs| [&[dims.obs], hidden, &[outputs]].concat();
        let actor = Part::push(&mut layout, "actor", &sizes(actor_hidden, dims.act))?;
        let log_std = layout.push("log_std", &[dims.act]);
        let value = Part::push(&mut layout, "value", &sizes(value_hidden, 1))?;
        Ok(Self {
            actor,
            log_std,
            value,
            layout: Arc::new(layout),
        })
    }

    /// Entries `actor.{i}.weight`, `actor.{i}.bias`, `log_std`, `value.{i}.weight`, `value.{i}.bias`.
    pub fn layout(&self) -> &Arc<ParamLayout> {
        &self.layout
    }

    /// Orthogonal weights, gain `sqrt 2` but in the last layers; zero biases.
    pub fn init(&self, start: &Start, stream: &mut Stream) -> Vec<f32> {
        let scheme = Init::Orthogonal { gain: SQRT_2 };
        let mut values = init::draw(&self.layout, scheme, stream);
        values[self.log_std.clone()].fill(start.log_std as f32);
        for (part, gain) in [
            (&self.actor, start.policy_head),
            (&self.value, start.value_head),
        ] {
            let head = &mut values[part.head()];
            head.iter_mut().for_each(|w| *w *= gain as f32 / SQRT_2);
        }
        values
    }

    /// `mu(s)`; differentiable in the parameters.
    ///
    /// # Shapes
    /// `params` `[N]`, `obs` `[B, o]` to `[B, d]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn mean(&self, params: &Tensor, obs: &Tensor) -> Result<Tensor> {
        self.actor.forward(params, obs)
    }

    /// `log sigma`; differentiable in the parameters.
    ///
    /// # Shapes
    /// `params` `[N]` to `[d]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn log_std(&self, params: &Tensor) -> Result<Tensor> {
        slice_params(params, self.log_std.clone())
    }

    /// `V(s)`; differentiable in the parameters.
    ///
    /// # Shapes
    /// `params` `[N]`, `obs` `[B, o]` to `[B]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn value(&self, params: &Tensor, obs: &Tensor) -> Result<Tensor> {
        self.value.forward(params, obs)?.squeeze(D::Minus1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_start_with_their_gains() -> Result<()> {
        let net = ActorCritic::new(Dims { obs: 3, act: 2 }, &[8, 8], &[8, 8])?;
        let start = Start {
            log_std: -0.5,
            policy_head: 0.01,
            value_head: 1.0,
        };
        let values = net.init(&start, &mut Stream::new(1, "init"));
        let norm = |name: &str| {
            let entry = net.layout().find(name);
            let values = entry.map_or(&[][..], |entry| &values[entry.range()]);
            values.iter().map(|x| x * x).sum::<f32>().sqrt()
        };
        // k orthonormal vectors have the norm sqrt k
        for (name, expected) in [
            ("actor.0.weight", SQRT_2 * 3f32.sqrt()),
            ("actor.1.weight", SQRT_2 * 8f32.sqrt()),
            ("actor.2.weight", 0.01 * 2f32.sqrt()),
            ("value.2.weight", 1.0),
            ("value.2.bias", 0.0),
            ("log_std", 0.5 * 2f32.sqrt()),
        ] {
            let found = norm(name);
            assert!(
                (found - expected).abs() < 1e-4 * expected.max(0.01),
                "{name}: {found}"
            );
        }
        Ok(())
    }
}
