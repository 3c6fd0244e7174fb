//! The passes of a fused network on a GPU: a product per linear layer and one of our kernels behind it.

pub(crate) mod ops;
mod tracked;

use std::sync::Arc;

use candle_core::Result;
use candle_core::cuda_backend::{CudaDevice, WrapErr};

pub(crate) use tracked::TrackedSaved;

use super::net::Linear;
use super::ops::Wanted;
use super::stage::Stage;
use crate::cuda::{
    self, Buffer, Form, Matrix, Module, Sizes, View, buffer, count, elements, launch, warps,
};
use crate::mlp::Activation;

const DENSE: Module = Module {
    name: "advect_dense",
    ptx: include_str!(concat!(env!("OUT_DIR"), "/dense.ptx")),
};

/// What a network is made of.
pub(crate) struct Program {
    pub stages: Vec<Stage>,
    pub linears: Vec<Linear>,
    /// Place of the gain of every LayerNorm in the parameters, its shift behind it.
    pub norms: Vec<usize>,
    /// Constant inside the LayerNorms' roots.
    pub eps: f32,
    pub activation: Activation,
}

impl Program {
    /// Width of the input.
    pub fn inputs(&self) -> usize {
        self.linears[0].inputs
    }

    /// Width of the output.
    pub fn outputs(&self) -> usize {
        self.linears[self.linears.len() - 1].outputs
    }
}

/// A network with its parameters on a device.
pub(crate) struct Pass<'a> {
    pub device: &'a CudaDevice,
    pub program: &'a Program,
    /// `[members, P]`.
    pub params: View<'a>,
    pub members: usize,
}

/// The network's input `[rows, in]`, or `[members, rows, in]`.
pub(crate) struct Input<'a> {
    pub values: View<'a>,
    pub rows: usize,
    /// Whether every member has its own rows.
    pub per_member: bool,
}

/// What the derivatives of an activation stage need.
struct Curved {
    slope: Buffer,
    norm: Option<Normed>,
}

/// `n = r (z - m)` and `r` of a LayerNorm.
struct Normed {
    normed: Buffer,
    scale: Buffer,
}

/// What a backward or tangent pass needs: the input of every linear layer but the first, and the activations.
pub(crate) struct Saved {
    inputs: Vec<Option<Arc<Buffer>>>,
    curved: Vec<Curved>,
}

/// Gradients of `sum(cotangent * y)`: parameters `[members, P]`, inputs `[members, rows, in]`.
pub(crate) struct Gradients {
    pub params: Option<Buffer>,
    pub x: Option<Arc<Buffer>>,
}

impl Pass<'_> {
    fn stride(&self) -> usize {
        self.params.len() / self.members
    }

    fn linear(&self, layer: usize) -> Linear {
        self.program.linears[layer]
    }

    /// The number by which kernels know the activation.
    fn activation(&self) -> i32 {
        match self.program.activation {
            Activation::Relu => 0,
            Activation::Tanh => 1,
            Activation::Gelu => 2,
            Activation::Silu => 3,
            Activation::Mish => 4,
        }
    }

    fn weight(&self, layer: usize) -> Matrix<'_> {
        let linear = self.linear(layer);
        Matrix {
            values: self.params.slice(linear.offset..),
            ld: linear.inputs,
            member_stride: self.stride(),
        }
    }

    /// `y [members, rows, out]`, and what its derivatives need.
    ///
    /// # Errors
    /// If the device fails; so do all passes.
    pub fn forward(&self, x: &Input) -> Result<(Arc<Buffer>, Saved)> {
        let stages = &self.program.stages;
        let mut saved = Saved {
            inputs: Vec::new(),
            curved: Vec::new(),
        };
        let (mut value, mut skip) = (None, None);
        let mut at = 0;
        while at < stages.len() {
            match stages[at] {
                Stage::Enter => skip = value.clone(),
                Stage::Linear(layer) => {
                    saved.inputs.push(value.clone());
                    let mut z = self.product(layer, x, value.as_deref())?;
                    let curved = matches!(stages.get(at + 1), Some(Stage::Activate(_)));
                    if curved && self.program.norms.is_empty() {
                        let slope = self.bias_activate(layer, &mut z, x.rows)?;
                        saved.curved.push(Curved { slope, norm: None });
                        at += 1;
                    } else {
                        self.add_bias(layer, &mut z, x.rows)?;
                    }
                    value = Some(Arc::new(z));
                }
                Stage::Activate(index) => {
                    let (out, curved) = self.activate(index, made(&value)?)?;
                    saved.curved.push(curved);
                    value = Some(Arc::new(out));
                }
                Stage::Add => value = Some(Arc::new(self.add(made(&skip)?, made(&value)?)?)),
            }
            at += 1;
        }
        Ok((value.ok_or_else(empty)?, saved))
    }

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
                        self.weight_gradient(layer, x, saved, &delta, params)?;
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

    /// `y_dot [rows, per_row, out]` for tangents `[rows, per_row, in]` of one network's input.
    pub fn tangent(&self, saved: &Saved, tangents: View, rows: usize) -> Result<Arc<Buffer>> {
        let x = Input {
            values: tangents,
            rows,
            per_member: false,
        };
        let (mut value, mut skip) = (None, None);
        for stage in &self.program.stages {
            match *stage {
                Stage::Enter => skip = value.clone(),
                Stage::Linear(layer) => {
                    value = Some(Arc::new(self.product(layer, &x, value.as_deref())?));
                }
                Stage::Activate(index) => {
                    let t = made(&value)?;
                    let out = self.activate_tangent(index, saved, t, rows)?;
                    value = Some(Arc::new(out));
                }
                Stage::Add => value = Some(Arc::new(self.add(made(&skip)?, made(&value)?)?)),
            }
        }
        value.ok_or_else(empty)
    }

    /// `value W^T`; the first layer reads `x`.
    fn product(&self, layer: usize, x: &Input, value: Option<&Buffer>) -> Result<Buffer> {
        let Linear {
            inputs, outputs, ..
        } = self.linear(layer);
        let left = self.rows(x, value, inputs);
        let sizes = Sizes {
            rows: x.rows,
            k: inputs,
            n: outputs,
            members: self.members,
        };
        let mut out = buffer(self.device, self.members * x.rows * outputs)?;
        let (to, stride) = (&mut out.as_view_mut(), x.rows * outputs);
        let weight = self.weight(layer);
        cuda::product(
            self.device,
            Form::Forward,
            &left,
            &weight,
            to,
            stride,
            sizes,
        )?;
        Ok(out)
    }

    /// Rows of a layer's input.
    fn rows<'a>(&self, x: &'a Input, value: Option<&'a Buffer>, width: usize) -> Matrix<'a> {
        match value {
            Some(value) => Matrix {
                values: value.as_view(),
                ld: width,
                member_stride: x.rows * width,
            },
            None => Matrix {
                values: x.values.slice(..),
                ld: width,
                member_stride: if x.per_member { x.rows * width } else { 0 },
            },
        }
    }

    /// Bias, stride, rows, width and number of a layer's outputs, as kernels take them.
    fn places(&self, layer: usize, rows: usize) -> Result<[u32; 5]> {
        let linear = self.linear(layer);
        Ok([
            count(linear.bias())?,
            count(self.stride())?,
            count(rows)?,
            count(linear.outputs)?,
            count(self.members * rows * linear.outputs)?,
        ])
    }

    fn add_bias(&self, layer: usize, z: &mut Buffer, rows: usize) -> Result<()> {
        let [bias, stride, rows, width, n] = self.places(layer, rows)?;
        launch!(
            self.device,
            DENSE,
            "add_bias",
            elements(n),
            z,
            &self.params,
            &bias,
            &stride,
            &rows,
            &width,
            &n,
        );
        Ok(())
    }

    /// `z <- a(z + b)`; the slopes.
    fn bias_activate(&self, layer: usize, z: &mut Buffer, rows: usize) -> Result<Buffer> {
        let [bias, stride, rows, width, n] = self.places(layer, rows)?;
        let mut slope = buffer(self.device, n as usize)?;
        let (keep, activation) = (1i32, self.activation());
        launch!(
            self.device,
            DENSE,
            "bias_activate",
            elements(n),
            z,
            &mut slope,
            &keep,
            &self.params,
            &bias,
            &stride,
            &rows,
            &width,
            &activation,
            &n,
        );
        Ok(slope)
    }

    /// Width of the activation stages: those of a network whose activations stand apart from its layers are all alike.
    fn hidden(&self) -> usize {
        self.linear(0).outputs
    }

    /// LayerNorm where there is one, and activation.
    fn activate(&self, index: usize, z: &Buffer) -> Result<(Buffer, Curved)> {
        let n = count(z.len())?;
        let (mut out, mut slope) = (buffer(self.device, z.len())?, buffer(self.device, z.len())?);
        let activation = self.activation();
        let Some(norm) = self.norm(index)? else {
            launch!(
                self.device,
                DENSE,
                "activate",
                elements(n),
                z,
                &mut out,
                &mut slope,
                &activation,
                &n,
            );
            return Ok((out, Curved { slope, norm: None }));
        };
        let (width, eps) = (count(self.hidden())?, self.program.eps);
        let rows = n / width;
        let mut normed = buffer(self.device, z.len())?;
        let mut scale = buffer(self.device, rows as usize)?;
        launch!(
            self.device,
            DENSE,
            "norm_activate",
            warps(rows),
            z,
            &mut out,
            &mut slope,
            &mut normed,
            &mut scale,
            &self.params,
            &norm,
            &eps,
            &activation,
            &rows,
            &width,
        );
        let norm = Some(Normed { normed, scale });
        Ok((out, Curved { slope, norm }))
    }

    /// Place of a stage's LayerNorm in the parameters.
    fn norm(&self, index: usize) -> Result<Option<u32>> {
        self.program
            .norms
            .get(index)
            .map(|at| count(*at))
            .transpose()
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
        launch!(
            self.device,
            DENSE,
            "norm_backward",
            warps(rows),
            delta,
            &curved.slope,
            &kept.normed,
            &kept.scale,
            &self.params,
            &norm,
            &mut p,
            &mut out,
            &rows,
            &width,
        );
        if let Some(params) = params {
            let at = [norm, norm + width];
            self.column_sums(&p, Some(&kept.normed), params, at[0], [rows, width])?;
            self.column_sums(&p, None, params, at[1], [rows, width])?;
        }
        Ok(out)
    }

    /// `t a'`, with LayerNorm its tangent; several rows of `t` for each of the `rows` of the primal pass.
    fn activate_tangent(
        &self,
        index: usize,
        saved: &Saved,
        t: &Buffer,
        rows: usize,
    ) -> Result<Buffer> {
        let curved = &saved.curved[index];
        let width = t.len() / rows.max(1);
        let per_row = count(t.len() / curved.slope.len().max(1))?;
        let (Some(norm), Some(kept)) = (self.norm(index)?, &curved.norm) else {
            return self.scaled(t, &curved.slope, width, per_row);
        };
        let (rows, width) = (count(rows)?, count(width)?);
        let mut out = buffer(self.device, t.len())?;
        launch!(
            self.device,
            DENSE,
            "norm_tangent",
            warps(rows),
            t,
            &curved.slope,
            &kept.normed,
            &kept.scale,
            &self.params,
            &norm,
            &mut out,
            &per_row,
            &rows,
            &width,
        );
        Ok(out)
    }

    /// `x slope` where `per` rows of `x` share a row of slopes.
    fn scaled(&self, x: &Buffer, slope: &Buffer, width: usize, per: u32) -> Result<Buffer> {
        let (n, width) = (count(x.len())?, count(width)?);
        let mut out = buffer(self.device, x.len())?;
        launch!(
            self.device,
            DENSE,
            "scale_rows",
            elements(n),
            x,
            slope,
            &mut out,
            &width,
            &per,
            &n,
        );
        Ok(out)
    }

    fn add(&self, x: &Buffer, y: &Buffer) -> Result<Buffer> {
        let n = count(x.len())?;
        let mut out = buffer(self.device, x.len())?;
        launch!(self.device, DENSE, "add", elements(n), x, y, &mut out, &n);
        Ok(out)
    }

    /// Cotangents of a layer's input.
    fn input_gradient(&self, layer: usize, delta: &Buffer, rows: usize) -> Result<Buffer> {
        let Linear {
            inputs, outputs, ..
        } = self.linear(layer);
        let left = Matrix {
            values: delta.as_view(),
            ld: outputs,
            member_stride: rows * outputs,
        };
        let sizes = Sizes {
            rows,
            k: outputs,
            n: inputs,
            members: self.members,
        };
        let mut out = buffer(self.device, self.members * rows * inputs)?;
        let (to, stride) = (&mut out.as_view_mut(), rows * inputs);
        let weight = self.weight(layer);
        cuda::product(
            self.device,
            Form::Backward,
            &left,
            &weight,
            to,
            stride,
            sizes,
        )?;
        Ok(out)
    }

    /// Gradients of a layer's weight and bias, into their places.
    fn weight_gradient(
        &self,
        layer: usize,
        x: &Input,
        saved: &Saved,
        delta: &Buffer,
        params: &mut Buffer,
    ) -> Result<()> {
        let linear = self.linear(layer);
        let right = self.rows(x, saved.inputs[layer].as_deref(), linear.inputs);
        let left = Matrix {
            values: delta.as_view(),
            ld: linear.outputs,
            member_stride: x.rows * linear.outputs,
        };
        let sizes = Sizes {
            rows: linear.outputs,
            k: x.rows,
            n: linear.inputs,
            members: self.members,
        };
        let to = &mut params.slice_mut(linear.offset..);
        let stride = self.stride();
        cuda::product(self.device, Form::Weight, &left, &right, to, stride, sizes)?;
        let sizes = [count(x.rows)?, count(linear.outputs)?];
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
        launch!(
            self.device,
            DENSE,
            "column_sums",
            config,
            x,
            y.unwrap_or(x),
            &product,
            params,
            &offset,
            &stride,
            &rows,
            &width,
        );
        Ok(())
    }
}

/// The sum over members of `[members, n]`, in their order.
pub(super) fn sum_members(device: &CudaDevice, x: &Buffer, members: usize) -> Result<Buffer> {
    let len = x.len() / members.max(1);
    let (n, members) = (count(len)?, count(members)?);
    let mut out = buffer(device, len)?;
    launch!(
        device,
        DENSE,
        "sum_members",
        elements(n),
        x,
        &mut out,
        &members,
        &n
    );
    Ok(out)
}

/// All candidates as rows: `own [states, per_state, width]` inserted into `context [states, inputs - width]` before column `slot`.
pub(super) fn insert_columns(
    device: &CudaDevice,
    context: &View,
    own: &View,
    (per_state, inputs, slot, width): (usize, usize, usize, usize),
) -> Result<Buffer> {
    let len = own.len() / width.max(1) * inputs;
    let (n, per_state, inputs) = (count(len)?, count(per_state)?, count(inputs)?);
    let (slot, width) = (count(slot)?, count(width)?);
    let mut out = buffer(device, len)?;
    launch!(
        device,
        DENSE,
        "insert_columns",
        elements(n),
        context,
        own,
        &mut out,
        &per_state,
        &inputs,
        &slot,
        &width,
        &n,
    );
    Ok(out)
}

/// The unit vectors of the columns `slot..slot + width` for each of `rows` rows: `[rows, width, inputs]`.
pub(super) fn unit_tangents(
    device: &CudaDevice,
    rows: usize,
    inputs: usize,
    (slot, width): (usize, usize),
) -> Result<Buffer> {
    let len = rows * width * inputs;
    let (n, inputs) = (count(len)?, count(inputs)?);
    let (slot, width) = (count(slot)?, count(width)?);
    let mut out = buffer(device, len)?;
    launch!(
        device,
        DENSE,
        "unit_tangents",
        elements(n),
        &mut out,
        &inputs,
        &slot,
        &width,
        &n,
    );
    Ok(out)
}

fn made(value: &Option<Arc<Buffer>>) -> Result<&Buffer> {
    value.as_deref().ok_or_else(empty)
}

fn empty() -> candle_core::Error {
    candle_core::Error::Msg("a network begins with a linear layer".into())
}
