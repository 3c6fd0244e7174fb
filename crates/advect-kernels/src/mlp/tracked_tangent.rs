//! A forward-mode derivative that can itself be differentiated: the gradient of a divergence.
//!
//! With `z = W h + b`, `z' = W h'`, `h_next = a(z)`, `h'_next = a'(z) z'`, and cotangents `(d, d')` of `(z, z')`:
//! `dW = d^T h + d'^T h'`, `db = sum d`, and one layer down
//! `d_below = (W^T d) a'(z) + (W^T d') a''(z) z'`, `d'_below = (W^T d') a'(z)`.
//! Primal and tangent rows lie in one buffer, tangents below, so that each layer is one product.
#![allow(unsafe_code)] // element-wise passes run on raw rows

use crate::dense::Net;
use crate::gemm::{
    Finish, Left, Out, PackedPanels, Product, Right, Start, multiply, pack_plain, pack_transposed,
};
use crate::scratch::{Scratch, leading_dim};
use crate::simd::{Kernel, Simd, dispatch, math};
use crate::threads::{self, Shared};

/// Rows that one task takes through a product.
const ROWS: usize = 96;

/// What the backward pass needs, per hidden layer: inputs of the next layer `[2 rows, ld]`, `a'(z)` and `a''(z) z'`.
pub(super) struct Saved {
    inputs: Vec<Scratch>,
    slopes: Vec<Scratch>,
    bends: Vec<Scratch>,
}

/// Gradients for parameters, inputs and tangents.
pub(super) struct Gradients {
    pub params: Vec<f32>,
    pub x: Vec<f32>,
    pub tangent: Vec<f32>,
}

/// `y_both [2 rows, out]`: outputs, then their tangents, for `both [2 rows, in]`.
pub(super) fn forward(net: &Net, both: &[f32], rows: usize, y_both: &mut [f32]) -> Saved {
    let mut saved = Saved {
        inputs: vec![padded(both, net.input_dim())],
        slopes: Vec::new(),
        bends: Vec::new(),
    };
    for layer in 0..net.layers() {
        let (k, n) = net.widths(layer);
        let input = Operand {
            values: &saved.inputs[layer],
            ld: leading_dim(k),
        };
        let bias = net.bias(0, layer);
        if layer + 1 == net.layers() {
            product(
                Transposed(net.weight(0, layer)),
                input,
                2 * rows,
                (k, n),
                y_both,
                n,
            );
            add_bias(&mut y_both[..rows * n], n, n, bias);
        } else {
            let ld = leading_dim(n);
            let mut z = Scratch::take(2 * rows * ld);
            product(
                Transposed(net.weight(0, layer)),
                input,
                2 * rows,
                (k, n),
                &mut z,
                ld,
            );
            add_bias(&mut z[..rows * ld], ld, n, bias);
            let (mut slope, mut bend) = (Scratch::take(rows * ld), Scratch::take(rows * ld));
            z[..]
                .chunks_exact_mut(ld)
                .for_each(|row| row[n..].fill(0.0));
            dispatch(Activate {
                net,
                z: &mut z,
                slope: &mut slope,
                bend: &mut bend,
            });
            saved.inputs.push(z);
            saved.slopes.push(slope);
            saved.bends.push(bend);
        }
    }
    saved
}

/// Gradients of `sum(cotangent * y_both)`.
pub(super) fn backward(net: &Net, rows: usize, saved: &Saved, cotangent: &[f32]) -> Gradients {
    let mut params = vec![0.0; net.stride()];
    let mut delta = padded(cotangent, net.output_dim());
    for layer in (0..net.layers()).rev() {
        let (inputs, outputs) = net.widths(layer);
        let (weight, bias) = params[net.linears[layer].offset..].split_at_mut(inputs * outputs);
        let operand = Operand {
            values: &delta,
            ld: leading_dim(outputs),
        };
        weight_gradient(
            operand,
            &saved.inputs[layer],
            2 * rows,
            (inputs, outputs),
            weight,
        );
        for row in delta.chunks_exact(leading_dim(outputs)).take(rows) {
            bias[..outputs]
                .iter_mut()
                .zip(row)
                .for_each(|(sum, d)| *sum += d);
        }
        let ld = leading_dim(inputs);
        let mut below = Scratch::take(2 * rows * ld);
        product(
            Plain(net.weight(0, layer)),
            operand,
            2 * rows,
            (outputs, inputs),
            &mut below,
            ld,
        );
        if layer > 0 {
            combine(
                &mut below,
                &saved.slopes[layer - 1],
                &saved.bends[layer - 1],
            );
        }
        delta = below;
    }
    let width = net.input_dim();
    let unpad = |rows: &[f32]| {
        rows.chunks_exact(leading_dim(width))
            .flat_map(|row| row[..width].to_vec())
            .collect()
    };
    let (x, tangent) = delta.split_at(rows * leading_dim(width));
    Gradients {
        params,
        x: unpad(x),
        tangent: unpad(tangent),
    }
}

/// `d = d a' + d' e` and `d' = d' a'`, primal rows above tangent rows.
fn combine(both: &mut [f32], slope: &[f32], bend: &[f32]) {
    let (primal, tangent) = both.split_at_mut(slope.len());
    for (((d, d_dot), slope), bend) in primal.iter_mut().zip(tangent).zip(slope).zip(bend) {
        *d = *d * slope + *d_dot * bend;
        *d_dot *= slope;
    }
}

fn padded(values: &[f32], width: usize) -> Scratch {
    let ld = leading_dim(width);
    let mut out = Scratch::take(values.len() / width * ld);
    for (to, from) in out.chunks_exact_mut(ld).zip(values.chunks_exact(width)) {
        to[..width].copy_from_slice(from);
        to[width..].fill(0.0);
    }
    out
}

fn add_bias(z: &mut [f32], ld: usize, n: usize, bias: &[f32]) {
    for row in z.chunks_exact_mut(ld) {
        row[..n].iter_mut().zip(bias).for_each(|(z, b)| *z += b);
    }
}

/// In place: primal `z -> a(z)`, tangent `z' -> a'(z) z'`, and `a'(z)`, `a''(z) z'` beside. Lengths are whole vectors.
struct Activate<'a> {
    net: &'a Net<'a>,
    z: &'a mut [f32],
    slope: &'a mut [f32],
    bend: &'a mut [f32],
}

impl Kernel for Activate<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        let activation = self.net.activation;
        let (primal, tangent) = self.z.split_at_mut(self.slope.len());
        for at in (0..primal.len()).step_by(S::LANES) {
            // SAFETY: all four slices have the same length, a multiple of the lanes.
            unsafe {
                let z = s.load(primal.as_ptr().add(at));
                let z_dot = s.load(tangent.as_ptr().add(at));
                let (value, slope) = math::activate(s, activation, z);
                let bend = s.mul(math::second_derivative(s, activation, z), z_dot);
                s.store(primal.as_mut_ptr().add(at), value);
                s.store(tangent.as_mut_ptr().add(at), s.mul(slope, z_dot));
                s.store(self.slope.as_mut_ptr().add(at), slope);
                s.store(self.bend.as_mut_ptr().add(at), bend);
            }
        }
    }
}

/// Rows padded to whole vectors.
#[derive(Clone, Copy)]
struct Operand<'a> {
    values: &'a [f32],
    ld: usize,
}

/// A weight as right operand, and how it is packed.
trait Weight: Copy + Sync {
    fn pack<S: Simd>(self, s: S, k: usize, n: usize, out: &mut [f32]);
}

/// `W^T` of `W [n, k]`.
#[derive(Clone, Copy)]
struct Transposed<'a>(&'a [f32]);

/// `W [k, n]`.
#[derive(Clone, Copy)]
struct Plain<'a>(&'a [f32]);

impl Weight for Transposed<'_> {
    #[inline(always)]
    fn pack<S: Simd>(self, s: S, k: usize, n: usize, out: &mut [f32]) {
        pack_transposed(s, self.0, k, k, n, out);
    }
}

impl Weight for Plain<'_> {
    #[inline(always)]
    fn pack<S: Simd>(self, _simd: S, k: usize, n: usize, out: &mut [f32]) {
        pack_plain::<S>(self.0, n, k, n, out);
    }
}

/// `out [rows, n] = input [rows, k] B`, in parallel over blocks of rows.
fn product(
    weight: impl Weight,
    input: Operand,
    rows: usize,
    (k, n): (usize, usize),
    out: &mut [f32],
    out_ld: usize,
) {
    let panels = dispatch(PackOne { weight, k, n });
    let out = Shared::new(out);
    threads::for_each(rows.div_ceil(ROWS), |task| {
        let first = task * ROWS;
        let base = out.at(first * out_ld);
        let product = Product {
            left: Left::rows(input.values[first * input.ld..].as_ptr(), input.ld),
            right: Right::Packed(panels.as_ptr()),
            rows: ROWS.min(rows - first),
            k,
            n,
            start: Start::Zero,
            finish: Finish::Store,
            out: Out { base, ld: out_ld },
            bf16: false,
        };
        // SAFETY: operands are padded to whole vectors, and the outputs of different tasks are disjoint.
        unsafe { multiply(&product) };
    });
}

/// `grad [outputs, inputs] = delta^T input` over all rows, in parallel over chunks of outputs.
fn weight_gradient(
    delta: Operand,
    input: &[f32],
    rows: usize,
    (inputs, outputs): (usize, usize),
    grad: &mut [f32],
) {
    let grad = Shared::new(grad);
    threads::for_each(outputs.div_ceil(ROWS), |task| {
        let first = task * ROWS;
        let product = Product {
            left: Left {
                base: delta.values[first..].as_ptr(),
                row_stride: 1,
                k_stride: delta.ld,
            },
            right: Right::Rows {
                base: input.as_ptr(),
                ld: leading_dim(inputs),
            },
            rows: ROWS.min(outputs - first),
            k: rows,
            n: inputs,
            start: Start::Zero,
            finish: Finish::Store,
            out: Out {
                base: grad.at(first * inputs),
                ld: inputs,
            },
            bf16: false,
        };
        // SAFETY: operands are padded to whole vectors, and the outputs of different tasks are disjoint.
        unsafe { multiply(&product) };
    });
}

struct PackOne<W> {
    weight: W,
    k: usize,
    n: usize,
}

impl<W: Weight> Kernel for PackOne<W> {
    type Out = Scratch;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Scratch {
        let mut panels = Scratch::take(PackedPanels::len::<S>(self.k, self.n));
        self.weight.pack(s, self.k, self.n, &mut panels);
        panels
    }
}
