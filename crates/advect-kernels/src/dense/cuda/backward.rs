//! Gradients of a fused network on a GPU.

use std::sync::Arc;

use candle_core::Result;
use candle_core::cuda_backend::WrapErr;

use super::{DENSE, Input, Pass, Saved, made};
use crate::cuda::{self, Buffer, Form, Matrix, Sizes, View, buffer, count, launch, warps};
use crate::dense::ops::Wanted;
use crate::dense::stage::Stage;

/// Gradients of `sum(cotangent * y)`: parameters `[members, P]`, inputs `[members, rows, in]`.
pub(crate) struct Gradients {
    pub params: Option<Buffer>,
    pub x: Option<Arc<Buffer>>,
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
        let mut params = match wanted.params {
            true => Some(buffer(self.device, self.params.len())?),
            false => None,
        };
        let stages = &self.program.stages;
        // the cotangent, until a stage has made another
        let mut delta: Option<Arc<Buffer>> = None;
        let (mut skip, mut x_grad) = (None, None);
        let mut bias_is_done = false;
        for (at, stage) in stages.iter().enumerate().rev() {
            let down = match &delta {
                Some(delta) => delta.as_view(),
                None => cotangent.slice(..),
            };
            match *stage {
                Stage::Add => {
                    let kept = match &delta {
                        Some(delta) => delta.clone(),
                        None => Arc::new(self.device.cuda_stream().clone_dtod(&cotangent).w()?),
                    };
                    skip = Some(kept);
                }
                Stage::Enter => {
                    let sum = self.add(made(&skip)?, made(&delta)?)?;
                    delta = Some(Arc::new(sum));
                }
                Stage::Activate(index) => {
                    let below = at.checked_sub(1).map(|below| stages[below]);
                    let scaled = match (below, &mut params) {
                        (Some(Stage::Linear(layer)), Some(params))
                            if self.program.norms.is_empty() =>
                        {
                            bias_is_done = true;
                            let slope = &saved.curved[index].slope;
                            self.scaled_to_bias(layer, &down, slope, params, x.rows)?
                        }
                        (_, params) => {
                            self.activate_backward(index, saved, &down, params.as_mut())?
                        }
                    };
                    delta = Some(Arc::new(scaled));
                }
                Stage::Linear(layer) => {
                    if let Some(params) = &mut params {
                        let bias_rows = (!bias_is_done).then_some(x.rows);
                        self.weight_gradient(layer, x, saved, &down, params, bias_rows)?;
                    }
                    bias_is_done = false;
                    if layer > 0 {
                        delta = Some(Arc::new(self.input_gradient(layer, &down, x.rows)?));
                    } else if wanted.x {
                        x_grad = Some(Arc::new(self.input_gradient(layer, &down, x.rows)?));
                    }
                }
            }
        }
        Ok(Gradients { params, x: x_grad })
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
        let config = cuda::columns(width, count(self.members)?);
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
        let left = Matrix::of_rows(delta.slice(..), x.rows, linear.outputs);
        let sizes = Sizes {
            rows: linear.outputs,
            k: x.rows,
            n: linear.inputs,
            members: self.members,
        };
        let to = &mut params.slice_mut(linear.offset..);
        let stride = self.stride();
        cuda::product(self.device, Form::Weight, &left, &right, to, stride, sizes)?;
        let Some(bias_rows) = bias_rows else {
            return Ok(());
        };
        let sizes = [count(bias_rows)?, count(linear.outputs)?];
        self.column_sums(delta, None, params, count(linear.bias())?, sizes)
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
        let config = cuda::columns(width, count(self.members)?);
        launch!(self.device, DENSE, "column_sums", config;
            x, y.unwrap_or(x), &product, params, &offset, &stride, &rows, &width);
        Ok(())
    }
}
