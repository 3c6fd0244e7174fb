//! The passes of a fused network on a GPU: a product per linear layer and one of our kernels behind it.

mod backward;
pub(crate) mod ops;
mod rows;
mod tangent;
mod tracked;

use std::sync::Arc;

use candle_core::Result;
use candle_core::cuda_backend::CudaDevice;

pub(crate) use backward::Gradients;
pub(crate) use tracked::TrackedSaved;

use super::net::Linear;
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

    /// `value W^T`; the first layer reads `x`.
    fn product(&self, layer: usize, x: &Input, value: Option<&Buffer>) -> Result<Buffer> {
        let left = self.rows(x, value, self.linear(layer).inputs);
        self.through(Form::Forward, layer, &left, x.rows)
    }

    /// Rows that pass a layer's weight: forwards to its outputs, or backwards to its inputs.
    fn through(&self, form: Form, layer: usize, left: &Matrix, rows: usize) -> Result<Buffer> {
        let linear = self.linear(layer);
        let (k, n) = match form {
            Form::Backward => (linear.outputs, linear.inputs),
            _ => (linear.inputs, linear.outputs),
        };
        let sizes = Sizes {
            rows,
            k,
            n,
            members: self.members,
        };
        let mut out = buffer(self.device, self.members * rows * n)?;
        let (to, stride) = (&mut out.as_view_mut(), rows * n);
        let weight = self.weight(layer);
        cuda::product(self.device, form, left, &weight, to, stride, sizes)?;
        Ok(out)
    }

    /// Rows of a layer's input.
    fn rows<'a>(&self, x: &'a Input, value: Option<&'a Buffer>, width: usize) -> Matrix<'a> {
        match value {
            Some(value) => Matrix::of_rows(value.as_view(), x.rows, width),
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
        launch!(self.device, DENSE, "add_bias", elements(n);
            z, &self.params, &bias, &stride, &rows, &width, &n);
        Ok(())
    }

    /// `z <- a(z + b)`; the slopes.
    fn bias_activate(&self, layer: usize, z: &mut Buffer, rows: usize) -> Result<Buffer> {
        let [bias, stride, rows, width, n] = self.places(layer, rows)?;
        let mut slope = buffer(self.device, n as usize)?;
        let activation = self.activation();
        launch!(self.device, DENSE, "bias_activate", elements(n);
            z, &mut slope, &self.params, &bias, &stride, &rows, &width, &activation, &n);
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
            launch!(self.device, DENSE, "activate", elements(n);
                z, &mut out, &mut slope, &activation, &n);
            return Ok((out, Curved { slope, norm: None }));
        };
        let (width, eps) = (count(self.hidden())?, self.program.eps);
        let rows = n / width;
        let mut normed = buffer(self.device, z.len())?;
        let mut scale = buffer(self.device, rows as usize)?;
        launch!(self.device, DENSE, "norm_activate", warps(rows);
            z, &mut out, &mut slope, &mut normed, &mut scale, &self.params, &norm, &eps,
            &activation, &rows, &width);
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

    /// `x slope` where `per` rows of `x` share a row of slopes.
    fn scaled(&self, x: &View, slope: &Buffer, width: usize, per: u32) -> Result<Buffer> {
        let (n, width) = (count(x.len())?, count(width)?);
        let mut out = buffer(self.device, x.len())?;
        launch!(self.device, DENSE, "scale_rows", elements(n);
            x, slope, &mut out, &width, &per, &n);
        Ok(out)
    }

    fn add(&self, x: &Buffer, y: &Buffer) -> Result<Buffer> {
        let n = count(x.len())?;
        let mut out = buffer(self.device, x.len())?;
        launch!(self.device, DENSE, "add", elements(n); x, y, &mut out, &n);
        Ok(out)
    }
}

fn made(value: &Option<Arc<Buffer>>) -> Result<&Buffer> {
    value.as_deref().ok_or_else(empty)
}

fn empty() -> candle_core::Error {
    candle_core::Error::Msg("a network begins with a linear layer".into())
}
