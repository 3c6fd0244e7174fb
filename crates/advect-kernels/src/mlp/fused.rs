//! The perceptron's passes, as the operations call them.

use super::forward::Saved;
use super::{Activation, Mlp, Precision, backward, forward, shared, tangent};
use crate::dense::{Candidates, Fused, Gradients, Linear, Net, Rows, Tangents, Wanted};
#[cfg(feature = "cuda")]
use crate::dense::{CudaProgram, Stage};

impl Fused for Mlp {
    type Saved = Saved;

    fn linears(&self) -> &[Linear] {
        &self.linears
    }

    fn activation(&self) -> Activation {
        self.activation
    }

    #[cfg(feature = "cuda")]
    fn program(&self) -> CudaProgram {
        let hidden = self.linears.len() - 1;
        let pairs = (0..hidden).flat_map(|i| [Stage::Linear(i), Stage::Activate(i)]);
        CudaProgram {
            stages: pairs.chain([Stage::Linear(hidden)]).collect(),
            linears: self.linears.clone(),
            norms: Vec::new(),
            eps: 0.0,
            activation: self.activation,
        }
    }

    fn forward(&self, net: &Net, x: Rows, rows: usize, y: &mut [f32]) {
        forward::forward(net, x, rows, y);
    }

    fn forward_saving(&self, net: &Net, x: Rows, rows: usize, y: &mut [f32]) -> Saved {
        forward::forward_saving(net, x, rows, y)
    }

    fn backward(
        &self,
        net: &Net,
        x: Rows,
        rows: usize,
        saved: &Saved,
        cotangent: &[f32],
        wanted: Wanted,
    ) -> Gradients {
        backward::backward(net, x, rows, saved, cotangent, wanted)
    }

    fn pushforward(
        &self,
        net: &Net,
        _x: Rows,
        x_dot: Rows,
        rows: usize,
        saved: &Saved,
        y_dot: &mut [f32],
    ) {
        forward::pushforward(net, x_dot, rows, saved, y_dot);
    }

    fn forward_shared(&self, net: &Net, input: Candidates, precision: Precision, y: &mut [f32]) {
        shared::forward_shared(net, input, precision, y);
    }

    fn jvp(
        &self,
        net: &Net,
        x: &[f32],
        rows: usize,
        tangents: Tangents,
        y: &mut [f32],
        y_dot: &mut [f32],
    ) {
        tangent::jvp(net, x, rows, tangents, y, y_dot);
    }
}
