//! Forward pass: blocks of rows go through the whole network while they are in cache.
#![allow(unsafe_code)] // blocks write disjoint rows of shared buffers

use super::net::{Form, Net, Packed, block_rows};
use crate::gemm::{Finish, Left, Product, Right, Start, dot, multiply};
use crate::scratch::{Scratch, leading_dim};
use crate::simd::{Kernel, Simd, dispatch};
use crate::threads::{self, Shared};

/// Rows of a matrix: the first value, the distance of rows, and the distance of members.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub values: &'a [f32],
    pub ld: usize,
    pub member_stride: usize,
}

/// What a backward pass needs: hidden activations and slopes, `[members, rows, leading_dim]` per hidden layer.
pub(super) struct Saved {
    pub hidden: Vec<Scratch>,
    pub slopes: Vec<Scratch>,
}

impl Saved {
    fn take(net: &Net, rows: usize) -> Self {
        let take = || -> Vec<Scratch> {
            let widths = &net.mlp.sizes[1..net.layers()];
            widths
                .iter()
                .map(|&w| Scratch::take(net.members * rows * leading_dim(w)))
                .collect()
        };
        Self {
            hidden: take(),
            slopes: take(),
        }
    }
}

/// `y = MLP(x)` for `rows` rows of every member; `y` is `[members, rows, out]`.
pub(super) fn forward(net: &Net, x: Rows, rows: usize, y: &mut [f32]) {
    run(net, x, rows, y, None);
}

/// As [`forward`], keeping what [`super::backward`] needs.
pub(super) fn forward_saving(net: &Net, x: Rows, rows: usize, y: &mut [f32]) -> Saved {
    let mut saved = Saved::take(net, rows);
    let share = |buffers: &mut Vec<Scratch>| buffers.iter_mut().map(|b| Shared::new(b)).collect();
    let pointers: (Vec<Shared>, Vec<Shared>) = (share(&mut saved.hidden), share(&mut saved.slopes));
    run(net, x, rows, y, Some(&pointers));
    saved
}

fn run(net: &Net, x: Rows, rows: usize, y: &mut [f32], saved: Option<&(Vec<Shared>, Vec<Shared>)>) {
    let packed = Packed::new(net, Form::Forward, 0, net.layers());
    let block = block_rows(rows);
    let blocks = rows.div_ceil(block);
    let y = Shared::new(y);
    threads::for_each(net.members * blocks, |task| {
        let (member, first) = (task / blocks, task % blocks * block);
        let count = block.min(rows - first);
        Block {
            net,
            packed: &packed,
            x,
            rows,
            y,
            saved,
            member,
            first,
            count,
        }
        .run();
    });
}

struct Block<'a> {
    net: &'a Net<'a>,
    packed: &'a Packed,
    x: Rows<'a>,
    rows: usize,
    y: Shared,
    saved: Option<&'a (Vec<Shared>, Vec<Shared>)>,
    member: usize,
    first: usize,
    count: usize,
}

impl Block<'_> {
    fn run(self) {
        let widest = self.net.mlp.sizes.iter().copied().max().unwrap_or(0);
        let room = if self.saved.is_some() {
            0
        } else {
            self.count * leading_dim(widest)
        };
        let mut work = Scratch::take(2 * room);
        let work = Shared::new(&mut work);
        let start = self.member * self.x.member_stride + self.first * self.x.ld;
        let mut input = Left {
            base: self.x.values[start..].as_ptr(),
            row_stride: self.x.ld,
            k_stride: 1,
        };
        for layer in 0..self.net.layers() {
            let (out, out_ld, finish) = self.target(layer, work, room);
            let start = Start::Bias(self.net.bias(self.member, layer).as_ptr());
            // SAFETY: `target` gives memory for `count` rows of this layer that no other block touches.
            unsafe { self.layer(layer, input, start, finish, out, out_ld) };
            input = Left {
                base: out,
                row_stride: out_ld,
                k_stride: 1,
            };
        }
    }
}

impl Block<'_> {
    /// Where a layer's output goes, and what is done to it.
    fn target(&self, layer: usize, work: Shared, room: usize) -> (*mut f32, usize, Finish) {
        let outputs = self.net.widths(layer).1;
        let row = self.member * self.rows + self.first;
        if layer + 1 == self.net.layers() {
            return (self.y.at(row * outputs), outputs, Finish::Store);
        }
        let (activation, ld) = (self.net.mlp.activation, leading_dim(outputs));
        match self.saved {
            None => (work.at(layer % 2 * room), ld, Finish::Activate(activation)),
            Some((hidden, slopes)) => {
                let slope = slopes[layer].at(row * ld);
                (
                    hidden[layer].at(row * ld),
                    ld,
                    Finish::ActivateKeep {
                        activation,
                        slope,
                        ld,
                    },
                )
            }
        }
    }

    unsafe fn layer(
        &self,
        layer: usize,
        left: Left,
        start: Start,
        finish: Finish,
        out: *mut f32,
        out_ld: usize,
    ) {
        let (k, n) = self.net.widths(layer);
        let rows = self.count;
        // SAFETY: the caller's promise; packed panels and parameters have the layer's shape.
        unsafe {
            if self.net.is_narrow(layer) {
                let (weight, bias) = (
                    self.net.weight(self.member, layer),
                    self.net.bias(self.member, layer),
                );
                narrow_layer(weight, bias, left, rows, k, out, out_ld);
            } else {
                let right = Right::Packed(self.packed.panels(self.member, layer));
                multiply(&Product {
                    left,
                    right,
                    rows,
                    k,
                    n,
                    start,
                    finish,
                    out,
                    out_ld,
                    bf16: false,
                });
            }
        }
    }
}

/// `out = x W^T + b` for at most [`super::net::NARROW`] outputs.
///
/// # Safety
/// `left` and `out` cover `rows` rows of `k` values and of as many outputs as there are biases.
pub(super) unsafe fn narrow_layer(
    weight: &[f32],
    bias: &[f32],
    left: Left,
    rows: usize,
    k: usize,
    out: *mut f32,
    out_ld: usize,
) {
    dispatch(Narrow {
        weight,
        bias,
        left,
        rows,
        k,
        out,
        out_ld,
    });
}

struct Narrow<'a> {
    weight: &'a [f32],
    bias: &'a [f32],
    left: Left,
    rows: usize,
    k: usize,
    out: *mut f32,
    out_ld: usize,
}

impl Kernel for Narrow<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for row in 0..self.rows {
            for (j, &b) in self.bias.iter().enumerate() {
                // SAFETY: rows and outputs lie inside the operands, as `narrow_layer` requires.
                unsafe {
                    let x = self.left.base.add(row * self.left.row_stride);
                    let weight = self.weight[j * self.k..].as_ptr();
                    *self.out.add(row * self.out_ld + j) = b + dot(s, x, weight, self.k);
                }
            }
        }
    }
}
