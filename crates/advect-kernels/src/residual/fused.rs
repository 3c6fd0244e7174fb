//! The residual network's passes, as the operations call them.

use super::forward::Saved;
use super::{ResidualMlp, backward, forward, tangent};
#[cfg(feature = "cuda")]
use crate::dense::CudaProgram;
use crate::dense::{Candidates, Fused, Gradients, Linear, Net, Rows, Tangents, Wanted};
use crate::mlp::{Activation, Precision};

impl Fused for ResidualMlp {
    type Saved = Saved;

    fn linears(&self) -> &[Linear] {
        &self.program.linears
    }

    fn activation(&self) -> Activation {
        self.config.activation
    }

    #[cfg(feature = "cuda")]
    fn program(&self) -> CudaProgram {
        CudaProgram {
            stages: self.program.stages.clone(),
            linears: self.program.linears.clone(),
            norms: self.program.norms.clone(),
            eps: self.config.form.ln_eps().unwrap_or_default(),
            activation: self.config.activation,
        }
    }

    fn forward(&self, net: &Net, x: Rows, rows: usize, y: &mut [f32]) {
        forward::forward(self, net, x, rows, y);
    }

    fn forward_saving(&self, net: &Net, x: Rows, rows: usize, y: &mut [f32]) -> Saved {
        forward::forward_saving(self, net, x, rows, y)
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
        backward::backward(self, net, x, rows, saved, cotangent, wanted)
    }

    /// The primal pass goes beside the tangents again: what is kept of it lacks the parts of a LayerNorm's tangent.
    fn pushforward(
        &self,
        net: &Net,
        x: Rows,
        x_dot: Rows,
        rows: usize,
        _saved: &Saved,
        y_dot: &mut [f32],
    ) {
        let (values, per_row) = (x_dot.values, 1);
        let mut y = vec![0.0; y_dot.len()];
        let tangents = Tangents::Given { values, per_row };
        tangent::jvp(self, net, x.values, rows, tangents, &mut y, y_dot);
    }

    fn forward_shared(&self, net: &Net, input: Candidates, precision: Precision, y: &mut [f32]) {
        forward::forward_shared(self, net, input, precision, y);
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
        tangent::jvp(self, net, x, rows, tangents, y, y_dot);
    }
}
