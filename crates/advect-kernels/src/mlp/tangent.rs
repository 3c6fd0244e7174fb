//! Forward-mode derivatives: several tangents per row pass through the network beside it.
#![allow(unsafe_code)] // blocks write disjoint rows of shared buffers

use crate::dense::{Form, Net, Packed, Step, Tangents, block_rows, first_columns};
use crate::gemm::{Finish, Left, Out, Start};
use crate::scratch::{Scratch, leading_dim};
use crate::threads::{self, Shared};

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
    primal: Out,
    slope: *mut f32,
    tangent: Out,
}

impl Block<'_> {
    fn run(self) {
        let widest = self.net.widest();
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
                primal: target.primal.as_left(),
                tangent: target.tangent.as_left(),
            };
        }
    }

    fn input(&self) -> Pair {
        let inputs = self.net.input_dim();
        let primal = Left::rows(self.x[self.first * inputs..].as_ptr(), inputs);
        let tangent = match self.tangents {
            Tangents::Given { values, per_row } => {
                Left::rows(values[self.first * per_row * inputs..].as_ptr(), inputs)
            }
            Tangents::Units { .. } => primal,
        };
        Pair { primal, tangent }
    }

    fn target(&self, layer: usize, work: Shared, room: usize) -> Target {
        let (outputs, per_row) = (self.net.widths(layer).1, self.tangents.per_row());
        let last = layer + 1 == self.net.layers();
        let ld = if last { outputs } else { leading_dim(outputs) };
        let side = layer % 2;
        let (primal, tangent) = if last {
            let row = self.first * outputs;
            (self.y.at(row), self.y_dot.at(row * per_row))
        } else {
            let tangent = (3 + side * per_row) * room;
            (work.at((1 + side) * room), work.at(tangent))
        };
        Target {
            primal: Out { base: primal, ld },
            slope: work.at(0),
            tangent: Out { base: tangent, ld },
        }
    }

    unsafe fn layer(&self, layer: usize, input: Pair, to: &Target) {
        let last = layer + 1 == self.net.layers();
        let (keep, scale) = if last {
            (Finish::Store, Finish::Store)
        } else {
            self.finishes(to)
        };
        let primal = Step {
            member: 0,
            layer,
            rows: self.count,
            left: input.primal,
            start: Start::Bias(self.net.bias(0, layer).as_ptr()),
            finish: keep,
            out: to.primal,
        };
        let tangent = Step {
            rows: self.count * self.tangents.per_row(),
            left: input.tangent,
            start: Start::Zero,
            finish: scale,
            out: to.tangent,
            ..primal
        };
        // SAFETY: the caller's promise.
        unsafe {
            self.packed.apply(self.net, primal);
            if layer == 0 && !self.columns.is_empty() {
                self.unit_tangents(self.net.widths(0).1, to, last);
            } else {
                self.packed.apply(self.net, tangent);
            }
        }
    }

    /// A hidden layer's primal rows keep their slopes, which then scale the tangent rows.
    fn finishes(&self, to: &Target) -> (Finish, Finish) {
        let (slope, ld) = (to.slope, to.primal.ld);
        let keep = Finish::ActivateKeep {
            activation: self.net.activation,
            slope,
            ld,
        };
        let scale = Finish::Scale {
            base: slope,
            ld,
            first: 0,
            per: self.tangents.per_row(),
        };
        (keep, scale)
    }

    /// The first layer's tangents for unit vectors: columns of the weight times the slopes.
    unsafe fn unit_tangents(&self, n: usize, to: &Target, last: bool) {
        let per_row = self.tangents.per_row();
        for row in 0..self.count {
            for (j, column) in self.columns.chunks_exact(n).enumerate() {
                // SAFETY: the target holds `count x per_row` rows and `count` rows of slopes.
                unsafe {
                    let out = to.tangent.base.add((row * per_row + j) * to.tangent.ld);
                    let slope = to.slope.add(row * to.primal.ld);
                    for (o, &w) in column.iter().enumerate() {
                        *out.add(o) = if last { w } else { w * *slope.add(o) };
                    }
                }
            }
        }
    }
}
