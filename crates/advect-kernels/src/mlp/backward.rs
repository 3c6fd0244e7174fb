//! Backward pass: cotangents by blocks of rows, then every weight gradient as one product over all rows.
//!
//! No partial gradients are formed: each weight's gradient is one chain of multiply-adds over the rows in rising
//! order, so the result has the same bits for any number of threads and any block size.
#![allow(unsafe_code)] // tasks write disjoint parts of shared buffers

use super::forward::{Rows, Saved};
use super::layer::Step;
use super::net::{Form, Net, Packed, block_rows};
use crate::gemm::{Finish, Left, Out, Product, Right, Start, multiply};
use crate::scratch::{Scratch, leading_dim};
use crate::threads::{self, Shared};

/// Rows of a weight gradient that one task computes.
const CHUNK: usize = 96;
/// Rows of the batch that pass through a weight gradient at a time, so that a panel stays in the first-level cache.
const DEPTH: usize = 256;

/// Which gradients are wanted.
#[derive(Clone, Copy)]
pub(super) struct Wanted {
    pub params: bool,
    pub x: bool,
}

/// Gradients of `sum(cotangent * y)`: parameters `[members, P]` and inputs `[members, rows, in]`.
#[derive(Default)]
pub(super) struct Gradients {
    pub params: Option<Vec<f32>>,
    pub x: Option<Vec<f32>>,
}

/// Runs the backward pass for `cotangent [members, rows, out]`.
pub(super) fn backward(
    net: &Net,
    x: Rows,
    rows: usize,
    saved: &Saved,
    cotangent: &[f32],
    wanted: Wanted,
) -> Gradients {
    let hidden = &net.mlp.sizes[1..net.layers()];
    let mut deltas: Vec<Scratch> = hidden
        .iter()
        .map(|&w| Scratch::take(net.members * rows * leading_dim(w)))
        .collect();
    let mut grad_x = wanted
        .x
        .then(|| vec![0.0; net.members * rows * net.mlp.input_dim()]);
    propagate(
        net,
        rows,
        saved,
        cotangent,
        &mut deltas,
        grad_x.as_deref_mut(),
    );
    let params = wanted
        .params
        .then(|| weight_gradients(net, x, rows, saved, cotangent, &deltas));
    Gradients { params, x: grad_x }
}

/// `delta_{l-1} = (delta_l W_l) * a'(z_{l-1})` down to the first hidden layer, and to the input where wanted.
fn propagate(
    net: &Net,
    rows: usize,
    saved: &Saved,
    cotangent: &[f32],
    deltas: &mut [Scratch],
    x: Option<&mut [f32]>,
) {
    let lowest = usize::from(x.is_none());
    let packed = Packed::new(net, Form::Backward, lowest.min(net.layers()), net.layers());
    let block = block_rows(rows);
    let blocks = rows.div_ceil(block);
    let deltas: Vec<Shared> = deltas.iter_mut().map(|d| Shared::new(d)).collect();
    let x = x.map(Shared::new);
    threads::for_each(net.members * blocks, |task| {
        let (member, first) = (task / blocks, task % blocks * block);
        let count = block.min(rows - first);
        Propagate {
            net,
            packed: &packed,
            rows,
            saved,
            cotangent,
            deltas: &deltas,
            x,
            member,
            first,
            count,
        }
        .run();
    });
}

struct Propagate<'a> {
    net: &'a Net<'a>,
    packed: &'a Packed,
    rows: usize,
    saved: &'a Saved,
    cotangent: &'a [f32],
    deltas: &'a [Shared],
    x: Option<Shared>,
    member: usize,
    first: usize,
    count: usize,
}

impl Propagate<'_> {
    fn run(self) {
        let row = self.member * self.rows + self.first;
        let outputs = self.net.mlp.output_dim();
        let mut left = Left::rows(self.cotangent[row * outputs..].as_ptr(), outputs);
        for layer in (0..self.net.layers()).rev() {
            let Some((out, finish)) = self.target(layer, row) else {
                return;
            };
            let step = Step {
                member: self.member,
                layer,
                rows: self.count,
                left,
                start: Start::Zero,
                finish,
                out,
            };
            // SAFETY: the block's rows of all buffers belong to this task alone and have the layer's widths.
            unsafe { self.packed.apply(self.net, step) };
            left = out.as_left();
        }
    }

    /// Where the cotangent of a layer's input goes; nothing for an input whose gradient is not wanted.
    fn target(&self, layer: usize, row: usize) -> Option<(Out, Finish)> {
        let width = self.net.widths(layer).0;
        if layer == 0 {
            let base = self.x?.at(row * width);
            return Some((Out { base, ld: width }, Finish::Store));
        }
        let ld = leading_dim(width);
        let scale = Finish::Scale {
            base: self.saved.slopes[layer - 1][row * ld..].as_ptr(),
            ld,
            first: 0,
            per: 1,
        };
        let base = self.deltas[layer - 1].at(row * ld);
        Some((Out { base, ld }, scale))
    }
}

fn weight_gradients(
    net: &Net,
    x: Rows,
    rows: usize,
    saved: &Saved,
    cotangent: &[f32],
    deltas: &[Scratch],
) -> Vec<f32> {
    let mut grads = vec![0.0; net.members * net.mlp.num_params()];
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
            _ => &saved.hidden[layer - 1][member * rows * in_ld..],
        };
        let (delta, delta_ld) = match deltas.get(layer) {
            Some(delta) => (
                &delta[member * rows * leading_dim(outputs)..],
                leading_dim(outputs),
            ),
            None => (&cotangent[member * rows * outputs..], outputs),
        };
        let start = member * net.mlp.num_params() + net.offset(layer);
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
    let width = net.mlp.input_dim();
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
