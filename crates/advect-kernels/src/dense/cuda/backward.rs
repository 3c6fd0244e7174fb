//! Gradients of a fused network on a GPU.

use std::sync::Arc;

use candle_core::Result;
use candle_core::cuda_backend::WrapErr;

use super::{DENSE, Input, Pass, Saved};
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
            true => Some(self.device.alloc_zeros::<f32>(self.params.len())?),
            false => None,
        };
        let mut delta = Arc::new(self.device.cuda_stream().clone_dtod(&cotangent).w()?);
        let mut skip = delta.clone();
        let mut x_grad = None;
        for stage in self.program.stages.iter().rev() {
            match *stage {
                Stage::Add => skip = delta.clone(),
                Stage::Enter => delta = Arc::new(self.add(&skip, &delta)?),
                Stage::Activate(index) => {
                    let down = self.activate_backward(index, saved, &delta, params.as_mut())?;
                    delta = Arc::new(down);
                }
                Stage::Linear(layer) => {
                    if let Some(params) = &mut params {
                        self.weight_gradient(layer, x, saved, &delta, params, x.rows)?;
                    }
                    if layer > 0 {
                        delta = Arc::new(self.input_gradient(layer, &delta, x.rows)?);
                    } else if wanted.x {
                        x_grad = Some(Arc::new(self.input_gradient(layer, &delta, x.rows)?));
                    }
                }
            }
        }
        Ok(Gradients { params, x: x_grad })
    }

    fn activate_backward(
        &self,
        index: usize,
        saved: &Saved,
        delta: &Buffer,
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
            self.column_sums(&p, Some(&kept.normed), params, at[0], [rows, width])?;
            self.column_sums(&p, None, params, at[1], [rows, width])?;
        }
        Ok(out)
    }

    /// Cotangents of a layer's input.
    pub(super) fn input_gradient(
        &self,
        layer: usize,
        delta: &Buffer,
        rows: usize,
    ) -> Result<Buffer> {
        let left = Matrix::of_rows(delta, rows, self.linear(layer).outputs);
        self.through(Form::Backward, layer, &left, rows)
    }

    /// Gradients of a layer's weight and bias, into their places; the bias moves the first `bias_rows` of a member's rows.
    pub(super) fn weight_gradient(
        &self,
        layer: usize,
        x: &Input,
        saved: &Saved,
        delta: &Buffer,
        params: &mut Buffer,
        bias_rows: usize,
    ) -> Result<()> {
        let linear = self.linear(layer);
        let right = self.rows(x, saved.inputs[layer].as_deref(), linear.inputs);
        let left = Matrix::of_rows(delta, x.rows, linear.outputs);
        let sizes = Sizes {
            rows: linear.outputs,
            k: x.rows,
            n: linear.inputs,
            members: self.members,
        };
        let to = &mut params.slice_mut(linear.offset..);
        let stride = self.stride();
        cuda::product(self.device, Form::Weight, &left, &right, to, stride, sizes)?;
        let sizes = [count(bias_rows)?, count(linear.outputs)?];
        self.column_sums(delta, None, params, count(linear.bias())?, sizes)
    }

    /// Sums of `x`, or of `x y`, over the rows of every member, into their place in the parameters' gradients.
    fn column_sums(
        &self,
        x: &Buffer,
        y: Option<&Buffer>,
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
