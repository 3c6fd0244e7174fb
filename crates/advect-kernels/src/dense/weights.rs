//! Weight gradients: every one a product over all rows.
//!
//! No partial gradients are formed: each weight's gradient is one chain of multiply-adds over the rows in rising
//! order, so the result has the same bits for any number of threads and any block size.
#![allow(unsafe_code)] // tasks write disjoint parts of a shared buffer

use super::net::Net;
use crate::gemm::{Finish, Left, Out, Product, Right, Start, multiply};
use crate::scratch::{Scratch, leading_dim};
use crate::threads::{self, Shared};

/// Rows of a weight gradient that one task computes.
const CHUNK: usize = 96;
/// Rows of the batch that pass through a weight gradient at a time, so that a panel stays in the first-level cache.
const DEPTH: usize = 256;

/// Rows of a matrix: the first value, the distance of rows, and the distance of members.
#[derive(Clone, Copy)]
pub(crate) struct Rows<'a> {
    pub values: &'a [f32],
    pub ld: usize,
    pub member_stride: usize,
}

/// What a layer's weight gradient is made of, `[members, rows, leading_dim]` each.
#[derive(Clone, Copy)]
pub(crate) struct Operands<'a> {
    /// Inputs of the layers after the first.
    pub inputs: &'a [Scratch],
    /// Cotangents of the outputs of the layers before the last.
    pub deltas: &'a [Scratch],
    /// Cotangents of the network's outputs, `[members, rows, out]`.
    pub cotangent: &'a [f32],
}

/// Gradients `[members, P]` of the weights and biases; parameters of other kinds are left at zero.
pub(crate) fn weight_gradients(net: &Net, x: Rows, rows: usize, operands: Operands) -> Vec<f32> {
    let Operands {
        inputs: hidden,
        deltas,
        cotangent,
    } = operands;
    let mut grads = vec![0.0; net.members * net.stride()];
    let inputs = padded_inputs(net, x, rows);
    let members = if x.member_stride == 0 { 0 } else { 1 };
    let shared = Shared::new(&mut grads);
    let tasks: Vec<(usize, usize, usize)> = (0..net.members)
        .flat_map(|member| (0..net.layers()).map(move |layer| (member, layer)))
        .flat_map(|(member, layer)| {
            (0..net.widths(layer).1)
                .step_by(CHUNK)
                .map(move |o| (member, layer, o))
        })
        .collect();
    threads::for_each(tasks.len(), |task| {
        let (member, layer, first) = tasks[task];
        let (width, outputs) = net.widths(layer);
        let in_ld = leading_dim(width);
        let input = match layer {
            0 => &inputs[members * member * rows * in_ld..],
            _ => &hidden[layer - 1][member * rows * in_ld..],
        };
        let (delta, delta_ld) = match deltas.get(layer) {
            Some(delta) => (
                &delta[member * rows * leading_dim(outputs)..],
                leading_dim(outputs),
            ),
            None => (&cotangent[member * rows * outputs..], outputs),
        };
        let start = member * net.stride() + net.linears[layer].offset;
        let count = CHUNK.min(outputs - first);
        Weight {
            input,
            in_ld,
            delta,
            delta_ld,
            rows,
            width,
            first,
            count,
            weight: shared.at(start + first * width),
            bias: shared.at(start + outputs * width + first),
        }
        .run();
    });
    grads
}

/// The inputs with rows padded to whole vectors, as a right operand must be.
fn padded_inputs(net: &Net, x: Rows, rows: usize) -> Scratch {
    let width = net.input_dim();
    let ld = leading_dim(width);
    let members = if x.member_stride == 0 { 1 } else { net.members };
    let mut padded = Scratch::take(members * rows * ld);
    for member in 0..members {
        for row in 0..rows {
            let from = &x.values[member * x.member_stride + row * x.ld..][..width];
            padded[(member * rows + row) * ld..][..width].copy_from_slice(from);
        }
    }
    padded
}

/// `dW[o] = sum_row delta[row, o] input[row]` and `db[o] = sum_row delta[row, o]` for a chunk of outputs.
struct Weight<'a> {
    input: &'a [f32],
    in_ld: usize,
    delta: &'a [f32],
    delta_ld: usize,
    rows: usize,
    width: usize,
    first: usize,
    count: usize,
    weight: *mut f32,
    bias: *mut f32,
}

impl Weight<'_> {
    fn run(self) {
        for row in (0..self.rows).step_by(DEPTH) {
            let left = Left {
                base: self.delta[row * self.delta_ld + self.first..].as_ptr(),
                row_stride: 1,
                k_stride: self.delta_ld,
            };
            let product = Product {
                left,
                right: Right::Rows {
                    base: self.input[row * self.in_ld..].as_ptr(),
                    ld: self.in_ld,
                },
                rows: self.count,
                k: DEPTH.min(self.rows - row),
                n: self.width,
                start: if row == 0 { Start::Zero } else { Start::Output },
                finish: Finish::Store,
                out: Out {
                    base: self.weight,
                    ld: self.width,
                },
                bf16: false,
            };
            // SAFETY: the chunk of the gradient belongs to this task; inputs are padded to whole vectors.
            unsafe { multiply(&product) };
        }
        // SAFETY: as above, for the chunk of the bias gradient.
        let bias = unsafe { std::slice::from_raw_parts_mut(self.bias, self.count) };
        for row in 0..self.rows {
            let delta = &self.delta[row * self.delta_ld + self.first..][..self.count];
            bias.iter_mut().zip(delta).for_each(|(sum, d)| *sum += d);
        }
    }
}
