//! Forward-mode derivatives: several tangents per row pass through the network beside it.
#![allow(unsafe_code)] // blocks write disjoint rows of shared buffers

use super::net::{Form, Net, Packed, block_rows};
use crate::gemm::{Finish, Left, Product, Right, Start, multiply};
use crate::scratch::{Scratch, leading_dim};
use crate::threads::{self, Shared};

/// The tangents of the inputs.
#[derive(Clone, Copy)]
pub(super) enum Tangents<'a> {
    /// `[rows, per_row, in]`.
    Given { values: &'a [f32], per_row: usize },
    /// The unit vectors of the input columns `slot..slot + width`, the same for every row.
    Units { slot: usize, width: usize },
}

impl Tangents<'_> {
    fn per_row(self) -> usize {
        match self {
            Tangents::Given { per_row, .. } => per_row,
            Tangents::Units { width, .. } => width,
        }
    }
}

/// `y [rows, out]` and `y_dot [rows, per_row, out]` for `x [rows, in]`.
pub(super) fn jvp(
    net: &Net,
    x: &[f32],
    rows: usize,
    tangents: Tangents,
    y: &mut [f32],
    y_dot: &mut [f32],
) {
    let packed = Packed::new(net, Form::Forward, 0, net.layers());
    let columns = first_columns(net, tangents);
    let block = (block_rows(rows) / tangents.per_row().max(1)).next_multiple_of(12);
    let blocks = rows.div_ceil(block);
    let (y, y_dot) = (Shared::new(y), Shared::new(y_dot));
    threads::for_each(blocks, |task| {
        let first = task * block;
        let count = block.min(rows - first);
        Block {
            net,
            packed: &packed,
            x,
            tangents,
            columns: &columns,
            y,
            y_dot,
            first,
            count,
        }
        .run();
    });
}

/// For unit tangents, the columns of the first weight as rows `[width, out]`.
fn first_columns(net: &Net, tangents: Tangents) -> Vec<f32> {
    let Tangents::Units { slot, width } = tangents else {
        return Vec::new();
    };
    let (inputs, _) = net.widths(0);
    let weight = net.weight(0, 0);
    (slot..slot + width)
        .flat_map(|column| weight.iter().skip(column).step_by(inputs).copied())
        .collect()
}

struct Block<'a> {
    net: &'a Net<'a>,
    packed: &'a Packed,
    x: &'a [f32],
    tangents: Tangents<'a>,
    columns: &'a [f32],
    y: Shared,
    y_dot: Shared,
    first: usize,
    count: usize,
}

/// Primal and tangent rows of one layer.
#[derive(Clone, Copy)]
struct Pair {
    primal: Left,
    tangent: Left,
}

/// Where a layer writes: primal rows, slopes, tangent rows.
struct Target {
    primal: *mut f32,
    slope: *mut f32,
    tangent: *mut f32,
    ld: usize,
}

impl Block<'_> {
    fn run(self) {
        let widest = self.net.mlp.sizes.iter().copied().max().unwrap_or(0);
        let per_row = self.tangents.per_row();
        let room = self.count * leading_dim(widest);
        let mut work = Scratch::take(room * (3 + 2 * per_row));
        let work = Shared::new(&mut work);
        let mut input = self.input();
        for layer in 0..self.net.layers() {
            let target = self.target(layer, work, room);
            // SAFETY: the target holds the block's rows of this layer, and nobody else writes them.
            unsafe { self.layer(layer, input, &target) };
            input = Pair {
                primal: Left {
                    base: target.primal,
                    row_stride: target.ld,
                    k_stride: 1,
                },
                tangent: Left {
                    base: target.tangent,
                    row_stride: target.ld,
                    k_stride: 1,
                },
            };
        }
    }
}

impl Block<'_> {
    fn input(&self) -> Pair {
        let inputs = self.net.mlp.input_dim();
        let rows = |base: *const f32| Left {
            base,
            row_stride: inputs,
            k_stride: 1,
        };
        let primal = rows(self.x[self.first * inputs..].as_ptr());
        let tangent = match self.tangents {
            Tangents::Given { values, per_row } => {
                rows(values[self.first * per_row * inputs..].as_ptr())
            }
            Tangents::Units { .. } => primal,
        };
        Pair { primal, tangent }
    }

    fn target(&self, layer: usize, work: Shared, room: usize) -> Target {
        let (outputs, per_row) = (self.net.widths(layer).1, self.tangents.per_row());
        if layer + 1 == self.net.layers() {
            let primal = self.y.at(self.first * outputs);
            let tangent = self.y_dot.at(self.first * per_row * outputs);
            return Target {
                primal,
                slope: work.at(0),
                tangent,
                ld: outputs,
            };
        }
        let side = layer % 2;
        Target {
            primal: work.at((1 + side) * room),
            slope: work.at(0),
            tangent: work.at((3 + side * per_row) * room),
            ld: leading_dim(outputs),
        }
    }

    unsafe fn layer(&self, layer: usize, input: Pair, to: &Target) {
        let (k, n) = self.net.widths(layer);
        let (per_row, last) = (self.tangents.per_row(), layer + 1 == self.net.layers());
        let keep = Finish::ActivateKeep {
            activation: self.net.mlp.activation,
            slope: to.slope,
            ld: to.ld,
        };
        let scale = Finish::Scale {
            base: to.slope,
            ld: to.ld,
            first: 0,
            per: per_row,
        };
        let (keep, scale) = if last {
            (Finish::Store, Finish::Store)
        } else {
            (keep, scale)
        };
        let bias = Start::Bias(self.net.bias(0, layer).as_ptr());
        // SAFETY: the caller's promise.
        unsafe {
            self.product(
                layer,
                input.primal,
                self.count,
                (k, n),
                bias,
                keep,
                to.primal,
                to.ld,
            );
            if layer == 0 && !self.columns.is_empty() {
                self.unit_tangents(n, to, last);
            } else {
                let rows = self.count * per_row;
                self.product(
                    layer,
                    input.tangent,
                    rows,
                    (k, n),
                    Start::Zero,
                    scale,
                    to.tangent,
                    to.ld,
                );
            }
        }
    }

    unsafe fn product(
        &self,
        layer: usize,
        left: Left,
        rows: usize,
        (k, n): (usize, usize),
        start: Start,
        finish: Finish,
        out: *mut f32,
        out_ld: usize,
    ) {
        // SAFETY: the caller's promise; weights have the layer's shape.
        unsafe {
            if self.net.is_narrow(layer) {
                let zeros = [0.0; super::net::NARROW];
                let bias = if matches!(start, Start::Zero) {
                    &zeros[..n]
                } else {
                    self.net.bias(0, layer)
                };
                super::forward::narrow_layer(
                    self.net.weight(0, layer),
                    bias,
                    left,
                    rows,
                    k,
                    out,
                    out_ld,
                );
            } else {
                let right = Right::Packed(self.packed.panels(0, layer));
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

    /// The first layer's tangents for unit vectors: columns of the weight times the slopes.
    unsafe fn unit_tangents(&self, n: usize, to: &Target, last: bool) {
        let per_row = self.tangents.per_row();
        for row in 0..self.count {
            for (j, column) in self.columns.chunks_exact(n).enumerate() {
                // SAFETY: the target holds `count x per_row` rows and `count` rows of slopes.
                unsafe {
                    let out = to.tangent.add((row * per_row + j) * to.ld);
                    let slope = to.slope.add(row * to.ld);
                    for (o, &w) in column.iter().enumerate() {
                        *out.add(o) = if last { w } else { w * *slope.add(o) };
                    }
                }
            }
        }
    }
}
