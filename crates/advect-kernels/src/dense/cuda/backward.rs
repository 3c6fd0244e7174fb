//! Gradients of a fused network on a GPU.

use std::sync::Arc;

use candle_core::Result;
use candle_core::cuda_backend::WrapErr;

use super::{DENSE, Input, Pass, Saved, made};
use crate::cuda::{
    self, Buffer, Form, Matrix, Sizes, View, buffer, count, launch, start_of, warps,
};
use crate::dense::ops::Wanted;
use crate::dense::stage::Stage;

/// Gradients of `sum(cotangent * y)`: parameters `[members, P]`, inputs `[members, rows, in]`.
pub(crate) struct Gradients {
    pub params: Option<Buffer>,
    pub x: Option<Arc<Buffer>>,
}

/// A backward pass on its way from the output to the input.
struct Sweep<'a> {
    pass: &'a Pass<'a>,
    x: &'a Input<'a>,
    saved: &'a Saved,
    /// Gradients of the parameters where they are wanted.
    params: Option<Buffer>,
    /// Whether the next layer's gradient of the bias was made with the cotangents of its activation.
    bias_is_done: bool,
}

impl Sweep<'_> {
    /// Gradients of a layer's parameters.
    fn weights(&mut self, layer: usize, delta: &View) -> Result<()> {
        let bias_rows = (!self.bias_is_done).then_some(self.x.rows);
        self.bias_is_done = false;
        match &mut self.params {
            Some(params) => {
                let (x, saved) = (self.x, self.saved);
                self.pass
                    .weight_gradient(layer, x, saved, delta, params, bias_rows)
            }
            None => Ok(()),
        }
    }

    /// The layer in front of stage `at` if its bias takes the sums of that activation's cotangents.
    fn bias_below(&self, at: usize) -> Option<usize> {
        let program = self.pass.program;
        match program.stages[..at].last() {
            Some(Stage::Linear(layer)) if program.norms.is_empty() && self.params.is_some() => {
                Some(*layer)
            }
            _ => None,
        }
    }

    /// Cotangents of the input of the activation at stage `at`.
    fn activation(&mut self, at: usize, index: usize, delta: &View) -> Result<Buffer> {
        let (pass, saved, rows) = (self.pass, self.saved, self.x.rows);
        match (self.bias_below(at), &mut self.params) {
            (Some(layer), Some(params)) => {
                self.bias_is_done = true;
                let slope = &saved.curved[index].slope;
                pass.scaled_to_bias(layer, delta, slope, params, rows)
            }
            (_, params) => pass.activate_backward(index, saved, delta, params.as_mut()),
        }
    }

    /// Cotangents below a linear layer at stage `at`, and the stage that they belong to; none below the first layer.
    fn linear(&mut self, at: usize, layer: usize, delta: &View) -> Result<Option<(Buffer, usize)>> {
        self.weights(layer, delta)?;
        let program = self.pass.program;
        match program.stages[..at].last() {
            None => Ok(None),
            Some(Stage::Activate(index))
                if program.norms.is_empty() && self.pass.is_narrow(layer) =>
            {
                let below = self.narrow(at - 1, *index, layer, delta)?;
                Ok(Some((below, at - 1)))
            }
            Some(_) => {
                let below = self.pass.input_gradient(layer, delta, self.x.rows)?;
                Ok(Some((below, at)))
            }
        }
    }

    /// Cotangents of the input of the activation at stage `at` from those of the outputs of the layer of few that follows it, by one kernel.
    fn narrow(&mut self, at: usize, index: usize, layer: usize, delta: &View) -> Result<Buffer> {
        let (pass, rows) = (self.pass, count(self.x.rows)?);
        let (linear, stride) = (pass.linear(layer), count(pass.stride())?);
        let below = self.bias_below(at);
        self.bias_is_done = below.is_some();
        let offset = count(below.map_or(0, |below| pass.linear(below).bias()))?;
        let gradients = start_of(self.params.as_ref().filter(|_| self.bias_is_done));
        let [inputs, width, weight] = [linear.inputs, linear.outputs, linear.offset];
        let mut out = buffer(pass.device, pass.members * self.x.rows * inputs)?;
        let [inputs, width, weight] = [count(inputs)?, count(width)?, count(weight)?];
        let config = cuda::columns(inputs, count(pass.members)?, rows);
        let slope = &self.saved.curved[index].slope;
        launch!(pass.device, DENSE, "narrow_backward", config;
            delta, &pass.params, slope, &mut out, &gradients, &weight, &offset, &stride, &inputs,
            &width, &rows);
        Ok(out)
    }
}

impl Pass<'_> {
    /// Gradients of `sum(cotangent * y)`, cotangent `[members, rows, out]`.
    pub fn backward(
        &self,
        x: &Input,
        saved: &Saved,
        cotangent: View,
        wanted: Wanted,
    ) -> Result<Gradients> {
        let params = wanted
            .params
            .then(|| buffer(self.device, self.params.len()))
            .transpose()?;
        let mut sweep = Sweep {
            pass: self,
            x,
            saved,
            params,
            bias_is_done: false,
        };
        let stages = &self.program.stages;
        // the cotangent, until a stage has made another
        let mut delta: Option<Arc<Buffer>> = None;
        let (mut skip, mut x_grad, mut at) = (None, None, stages.len());
        while at > 0 {
            at -= 1;
            let down = match &delta {
                Some(delta) => delta.as_view(),
                None => cotangent.slice(..),
            };
            let next = match stages[at] {
                Stage::Add => {
                    skip = Some(match &delta {
                        Some(delta) => delta.clone(),
                        None => Arc::new(self.device.cuda_stream().clone_dtod(&cotangent).w()?),
                    });
                    continue;
                }
                Stage::Enter => self.add(made(&skip)?, made(&delta)?)?,
                Stage::Activate(index) => sweep.activation(at, index, &down)?,
                Stage::Linear(layer) => match sweep.linear(at, layer, &down)? {
                    Some((next, stage)) => {
                        at = stage;
                        next
                    }
                    None if wanted.x => {
                        x_grad = Some(Arc::new(self.input_gradient(layer, &down, x.rows)?));
                        break;
                    }
                    None => break,
                },
            };
            delta = Some(Arc::new(next));
        }
        Ok(Gradients {
            params: sweep.params,
            x: x_grad,
        })
    }

    /// The cotangent times an activation's slopes, and its sums over rows: the gradient of the bias of the layer below.
    fn scaled_to_bias(
        &self,
        layer: usize,
        delta: &View,
        slope: &Buffer,
        params: &mut Buffer,
        rows: usize,
    ) -> Result<Buffer> {
        let linear = self.linear(layer);
        let (stride, offset) = (count(self.stride())?, count(linear.bias())?);
        let (rows, width) = (count(rows)?, count(linear.outputs)?);
        let config = cuda::columns(width, count(self.members)?, rows);
        let mut out = buffer(self.device, delta.len())?;
        launch!(self.device, DENSE, "scale_to_bias", config;
            delta, slope, &mut out, params, &offset, &stride, &rows, &width);
        Ok(out)
    }

    fn activate_backward(
        &self,
        index: usize,
        saved: &Saved,
        delta: &View,
        params: Option<&mut Buffer>,
    ) -> Result<Buffer> {
        let curved = &saved.curved[index];
        let (Some(norm), Some(kept)) = (self.norm(index)?, &curved.norm) else {
            return self.scaled(delta, &curved.slope, delta.len(), 1);
        };
        let width = count(self.hidden())?;
        let rows = count(delta.len())? / width;
        let mut p = buffer(self.device, delta.len())?;
        let mut out = buffer(self.device, delta.len())?;
        launch!(self.device, DENSE, "norm_backward", warps(rows);
            delta, &curved.slope, &kept.normed, &kept.scale, &self.params, &norm, &mut p,
            &mut out, &rows, &width);
        if let Some(params) = params {
            let at = [norm, norm + width];
            let (p, normed) = (p.as_view(), kept.normed.as_view());
            self.column_sums(&p, Some(&normed), params, at[0], [rows, width])?;
            self.column_sums(&p, None, params, at[1], [rows, width])?;
        }
        Ok(out)
    }

    /// Cotangents of a layer's input.
    pub(super) fn input_gradient(&self, layer: usize, delta: &View, rows: usize) -> Result<Buffer> {
        let left = Matrix::of_rows(delta.slice(..), rows, self.linear(layer).outputs);
        self.through(Form::Backward, layer, &left, rows)
    }

    /// Gradients of a layer's weight and bias, into their places; the bias moves the first `bias_rows` of a member's rows, and without
    /// them its gradient is made elsewhere.
    pub(super) fn weight_gradient(
        &self,
        layer: usize,
        x: &Input,
        saved: &Saved,
        delta: &View,
        params: &mut Buffer,
        bias_rows: Option<usize>,
    ) -> Result<()> {
        let linear = self.linear(layer);
        let right = self.rows(x, saved.inputs[layer].as_deref(), linear.inputs);
        if self.is_narrow(layer) {
            return self.narrow_gradient(layer, &right, (delta, x.rows), params, bias_rows);
        }
        let left = Matrix::of_rows(delta.slice(..), x.rows, linear.outputs);
        let sizes = Sizes {
            rows: linear.outputs,
            k: x.rows,
            n: linear.inputs,
            members: self.members,
        };
        let to = &mut params.slice_mut(linear.offset..);
        let stride = self.stride();
        let operands = [&left, &right];
        cuda::product(
            self.device,
            Form::Weight,
            operands,
            (to, stride),
            sizes,
            false,
        )?;
        let Some(bias_rows) = bias_rows else {
            return Ok(());
        };
        let sizes = [count(bias_rows)?, count(linear.outputs)?];
        self.column_sums(delta, None, params, count(linear.bias())?, sizes)
    }

    /// The same of a layer of few outputs, by one kernel.
    fn narrow_gradient(
        &self,
        layer: usize,
        x: &Matrix,
        (delta, rows): (&View, usize),
        params: &mut Buffer,
        bias_rows: Option<usize>,
    ) -> Result<()> {
        let linear = self.linear(layer);
        let own_rows = u32::from(x.member_stride > 0);
        let (weight, stride) = (count(linear.offset)?, count(self.stride())?);
        let [inputs, width] = [count(linear.inputs)?, count(linear.outputs)?];
        let (rows, bias_rows) = (count(rows)?, count(bias_rows.unwrap_or(0))?);
        let config = cuda::columns(inputs + 1, count(self.members)? * width, rows);
        launch!(self.device, DENSE, "narrow_gradient", config;
            &x.values, delta, params, &weight, &stride, &inputs, &width, &rows, &own_rows,
            &bias_rows);
        Ok(())
    }

    /// Sums of `x`, or of `x y`, over the rows of every member, into their place in the parameters' gradients.
    fn column_sums(
        &self,
        x: &View,
        y: Option<&View>,
        params: &mut Buffer,
        offset: u32,
        [rows, width]: [u32; 2],
    ) -> Result<()> {
        let (stride, product) = (count(self.stride())?, i32::from(y.is_some()));
        let config = cuda::columns(width, count(self.members)?, rows);
        launch!(self.device, DENSE, "column_sums", config;
            x, y.unwrap_or(x), &product, params, &offset, &stride, &rows, &width);
        Ok(())
    }
}
