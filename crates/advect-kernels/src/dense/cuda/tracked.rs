//! A forward-mode derivative that can itself be differentiated, on a GPU (`../../mlp/tracked_tangent.rs` has the formulas).
//!
//! Primal and tangent rows lie in one buffer `[2 rows, width]`, tangents below.

use candle_core::Result;
use candle_core::cuda_backend::WrapErr;

use super::{DENSE, Gradients, Input, Pass, Saved};
use crate::cuda::{Buffer, View, buffer, count, elements, launch};

/// `a'(z)` and `a''(z) z'` of a hidden layer.
struct Bent {
    slope: Buffer,
    bend: Buffer,
}

/// What the backward pass needs.
pub(crate) struct TrackedSaved {
    inputs: Saved,
    bent: Vec<Bent>,
}

impl Pass<'_> {
    /// `[2 rows, out]`, outputs above tangents, of one network at `[2 rows, in]`.
    pub fn tracked_forward(&self, both: &Input) -> Result<(Buffer, TrackedSaved)> {
        let layers = self.program.linears.len();
        let (mut inputs, mut bent) = (vec![None], Vec::new());
        let mut z = self.product(0, both, None)?;
        for layer in 0..layers {
            self.add_bias(layer, &mut z, both.rows / 2)?;
            if layer + 1 == layers {
                break;
            }
            bent.push(self.bend(&mut z)?);
            let value = std::sync::Arc::new(z);
            z = self.product(layer + 1, both, Some(&value))?;
            inputs.push(Some(value));
        }
        let inputs = Saved {
            inputs,
            curved: Vec::new(),
        };
        Ok((z, TrackedSaved { inputs, bent }))
    }

    /// Gradients of `sum(cotangent * y_both)`, those of the inputs `[2 rows, in]`.
    pub fn tracked_backward(
        &self,
        both: &Input,
        saved: &TrackedSaved,
        cotangent: View,
    ) -> Result<Gradients> {
        let mut params = buffer(self.device, self.params.len())?;
        let mut delta = self.device.cuda_stream().clone_dtod(&cotangent).w()?;
        for layer in (0..self.program.linears.len()).rev() {
            let down = delta.as_view();
            let bias_rows = Some(both.rows / 2);
            self.weight_gradient(layer, both, &saved.inputs, &down, &mut params, bias_rows)?;
            delta = self.input_gradient(layer, &delta.as_view(), both.rows)?;
            if layer > 0 {
                self.combine(&mut delta, &saved.bent[layer - 1])?;
            }
        }
        Ok(Gradients {
            params: Some(params),
            x: Some(delta.into()),
        })
    }

    fn bend(&self, both: &mut Buffer) -> Result<Bent> {
        let half = both.len() / 2;
        let (n, activation) = (count(half)?, self.activation());
        let (mut slope, mut bend) = (buffer(self.device, half)?, buffer(self.device, half)?);
        launch!(self.device, DENSE, "activate_tangent", elements(n);
            both, &mut slope, &mut bend, &activation, &n);
        Ok(Bent { slope, bend })
    }

    fn combine(&self, both: &mut Buffer, bent: &Bent) -> Result<()> {
        let n = count(both.len() / 2)?;
        launch!(self.device, DENSE, "combine", elements(n); both, &bent.slope, &bent.bend, &n);
        Ok(())
    }
}
