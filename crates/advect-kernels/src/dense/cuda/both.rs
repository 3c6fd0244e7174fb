//! Values and their tangents in one forward pass on a GPU: `[2, members, rows, width]`, tangents behind.

use std::sync::Arc;

use candle_core::Result;

use super::{Curved, DENSE, Pass, Program, Saved, empty};
use crate::cuda::{
    self, Buffer, Form, Matrix, Sizes, View, buffer, count, elements, launch, start_of,
};
use crate::dense::stage::Stage;

impl Program {
    /// Whether layers and activations alternate, which this pass needs.
    pub fn is_plain(&self) -> bool {
        let plain = |stage: &Stage| matches!(stage, Stage::Linear(_) | Stage::Activate(_));
        self.norms.is_empty() && self.stages.iter().all(plain)
    }
}

impl Pass<'_> {
    /// Outputs and tangents of inputs and tangents `both`, each member with rows of its own, and what a backward pass needs.
    pub fn both(&self, both: View, rows: usize) -> Result<(Buffer, Saved)> {
        let last = self.program.linears.len() - 1;
        let mut saved = Saved {
            inputs: Vec::new(),
            curved: Vec::new(),
        };
        let mut value: Option<Arc<Buffer>> = None;
        for layer in 0..=last {
            let from = match &value {
                Some(value) => value.as_view(),
                None => both.slice(..),
            };
            let (out, slope) = self.layer_of_both(layer, &from, rows, layer < last)?;
            let slope = slope.map(|slope| Curved { slope, norm: None });
            saved.curved.extend(slope);
            saved.inputs.push(value.replace(Arc::new(out)));
        }
        let out = value.and_then(Arc::into_inner).ok_or_else(empty)?;
        Ok((out, saved))
    }

    /// A layer; with an activation behind it its slopes too.
    fn layer_of_both(
        &self,
        layer: usize,
        from: &View,
        rows: usize,
        is_hidden: bool,
    ) -> Result<(Buffer, Option<Buffer>)> {
        let [bias, stride, row_count, width, n] = self.places(layer, rows)?;
        let activation = if is_hidden { self.activation() } else { -1 };
        let slope = self.room(is_hidden, n)?;
        let slopes = start_of(slope.as_ref());
        if self.is_narrow(layer) {
            let linear = self.linear(layer);
            let [inputs, weight] = [count(linear.inputs)?, count(linear.offset)?];
            let mut out = buffer(self.device, 2 * n as usize)?;
            launch!(self.device, DENSE, "narrow_both", elements(n);
                from, &self.params, &mut out, &slopes, &weight, &bias, &stride, &inputs, &width,
                &row_count, &activation, &n);
            return Ok((out, slope));
        }
        let mut out = self.products_of_both(layer, from, rows)?;
        launch!(self.device, DENSE, "bias_activate_both", elements(n);
            &mut out, &slopes, &self.params, &bias, &stride, &row_count, &width, &activation, &n);
        Ok((out, slope))
    }

    /// Both products: one where they have the same weight, that of a single network.
    fn products_of_both(&self, layer: usize, from: &View, rows: usize) -> Result<Buffer> {
        let linear = self.linear(layer);
        let (times, rows) = match self.members {
            1 => (1, 2 * rows),
            _ => (2, rows),
        };
        let [len_in, len_out] = [linear.inputs, linear.outputs].map(|w| self.members * rows * w);
        let sizes = Sizes {
            rows,
            k: linear.inputs,
            n: linear.outputs,
            members: self.members,
        };
        let mut out = buffer(self.device, times * len_out)?;
        for half in 0..times {
            let left = Matrix::of_rows(from.slice(half * len_in..), rows, linear.inputs);
            let to = &mut out.slice_mut(half * len_out..);
            let operands = [&left, &self.weight(layer)];
            let stride = rows * linear.outputs;
            cuda::product(
                self.device,
                Form::Forward,
                operands,
                (to, stride),
                sizes,
                false,
            )?;
        }
        Ok(out)
    }
}
