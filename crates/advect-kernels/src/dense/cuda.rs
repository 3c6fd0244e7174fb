//! The passes of a fused network on a GPU: a product per linear layer and one of our kernels behind it.

mod backward;
mod both;
mod forward;
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
    self, Buffer, Form, Matrix, Module, Sizes, View, buffer, count, elements, launch,
};
use crate::mlp::{Activation, Precision};

const DENSE: Module = Module {
    name: "advect_dense",
    ptx: include_str!(concat!(env!("OUT_DIR"), "/dense.ptx")),
};

/// Layers of at most so many outputs take kernels that do all of a layer's work, instead of a product of the library.
const NARROW: usize = 32;

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

    /// Whether the last layer's kernel can end with a step.
    pub fn can_step(&self) -> bool {
        self.outputs() <= NARROW
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
    /// Of the products behind the first layer.
    pub precision: Precision,
    /// Where a step begins that the last layer, one of few outputs, ends with, and its length.
    pub step: Option<(u64, f32)>,
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

    fn is_narrow(&self, layer: usize) -> bool {
        self.linear(layer).outputs <= NARROW
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
        let rounded = layer > 0 && self.precision == Precision::Bf16;
        cuda::product(
            self.device,
            form,
            [left, &weight],
            (to, stride),
            sizes,
            rounded,
        )?;
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

    /// Width of the activation stages: those of a network whose activations stand apart from its layers are all alike.
    fn hidden(&self) -> usize {
        self.linear(0).outputs
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
