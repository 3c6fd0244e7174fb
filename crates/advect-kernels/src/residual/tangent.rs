//! Forward-mode derivatives: several tangents per row pass through the network beside it.
#![allow(unsafe_code)] // blocks write disjoint rows of shared buffers

use super::ResidualMlp;
use super::norm::{Affine, Forward, Keep};
use super::norm_derivative::Tangent;
use super::program::Stages;
use super::rows::{Sum, run};
use crate::dense::{Form, Net, Packed, Step, Tangents, block_rows, first_columns};
use crate::gemm::{Finish, Left, Out, Start};
use crate::scratch::{Scratch, leading_dim};
use crate::threads::{self, Shared};

/// `y [rows, out]` and `y_dot [rows, per_row, out]` for `x [rows, in]`.
pub(super) fn jvp(
    mlp: &ResidualMlp,
    net: &Net,
    x: &[f32],
    rows: usize,
    tangents: Tangents,
    y: &mut [f32],
    y_dot: &mut [f32],
) {
    let pass = Pass {
        mlp,
        net,
        packed: Packed::new(net, Form::Forward, 0, net.layers()),
        affine: mlp.affine(net),
        x,
        tangents,
        columns: first_columns(net, tangents),
        y: Shared::new(y),
        y_dot: Shared::new(y_dot),
    };
    let block = (block_rows(rows) / tangents.per_row().max(1)).next_multiple_of(12);
    threads::for_each(rows.div_ceil(block), |task| {
        let first = task * block;
        Block::run(&pass, first, block.min(rows - first));
    });
}

struct Pass<'a> {
    mlp: &'a ResidualMlp,
    net: &'a Net<'a>,
    packed: Packed,
    affine: Vec<Affine>,
    x: &'a [f32],
    tangents: Tangents<'a>,
    columns: Vec<f32>,
    y: Shared,
    y_dot: Shared,
}

/// Primal and tangent rows of a value.
#[derive(Clone, Copy)]
struct Pair {
    primal: Out,
    tangent: Out,
}

/// Rows `first..first + count`.
///
/// `work` holds three slots of pairs, then the slopes and the normalised rows of the present stage and their scales.
struct Block<'a> {
    pass: &'a Pass<'a>,
    first: usize,
    count: usize,
    per_row: usize,
    ld: usize,
    work: Shared,
}

impl Block<'_> {
    fn run(pass: &Pass, first: usize, count: usize) {
        let (ld, per_row) = (leading_dim(pass.mlp.config.hidden), pass.tangents.per_row());
        let room = count * ld;
        let mut work = Scratch::take(room * (3 * (1 + per_row) + 2) + count);
        let work = Shared::new(&mut work);
        let block = Block {
            pass,
            first,
            count,
            per_row,
            ld,
            work,
        };
        pass.mlp.program.run(&block, block.slot(0));
    }

    fn slot(&self, slot: usize) -> Pair {
        let (room, ld) = (self.count * self.ld, self.ld);
        let start = slot * room * (1 + self.per_row);
        let matrix = |at| Out {
            base: self.work.at(at),
            ld,
        };
        Pair {
            primal: matrix(start),
            tangent: matrix(start + room),
        }
    }

    /// The first layer's tangents for unit vectors: columns of the weight, the same for every row.
    fn unit_tangents(&self, to: Out) {
        let width = self.pass.mlp.config.hidden;
        for row in 0..self.count {
            for (j, column) in self.pass.columns.chunks_exact(width).enumerate() {
                // SAFETY: `to` holds `count x per_row` rows of the hidden width that belong to this block alone.
                unsafe {
                    let out = to.base.add((row * self.per_row + j) * to.ld);
                    out.copy_from_nonoverlapping(column.as_ptr(), width);
                }
            }
        }
    }

    fn product(&self, layer: usize, left: Left, out: Out, primal: bool) {
        let (rows, start) = if primal {
            let bias = self.pass.net.bias(0, layer);
            (self.count, Start::Bias(bias.as_ptr()))
        } else {
            (self.count * self.per_row, Start::Zero)
        };
        let step = Step {
            member: 0,
            layer,
            rows,
            left,
            start,
            finish: Finish::Store,
            out,
        };
        // SAFETY: `left` and `out` hold `rows` rows of the layer's widths that belong to this block alone.
        unsafe { self.pass.packed.apply(self.pass.net, step) };
    }

    fn keep(&self) -> Keep {
        let (room, ld) = (self.count * self.ld, self.ld);
        let start = 3 * room * (1 + self.per_row);
        let matrix = |at| Out {
            base: self.work.at(at),
            ld,
        };
        Keep {
            slope: matrix(start),
            normed: matrix(start + room),
            scale: self.work.at(start + 2 * room),
        }
    }
}

impl Stages for Block<'_> {
    type Value = Pair;

    /// Where the output of stage `at` goes.
    fn target(&self, at: usize) -> Pair {
        let program = &self.pass.mlp.program;
        if at + 1 < program.stages.len() {
            return self.slot(program.slot(at));
        }
        let ld = self.pass.net.output_dim();
        let matrix = |rows: Shared, per_row: usize| Out {
            base: rows.at(self.first * per_row * ld),
            ld,
        };
        Pair {
            primal: matrix(self.pass.y, 1),
            tangent: matrix(self.pass.y_dot, self.per_row),
        }
    }

    fn first_layer(&self, to: Pair) {
        let (inputs, pass) = (self.pass.net.input_dim(), self.pass);
        let x = Left::rows(pass.x[self.first * inputs..].as_ptr(), inputs);
        self.product(0, x, to.primal, true);
        match pass.tangents {
            Tangents::Given { values, per_row } => {
                let values = &values[self.first * per_row * inputs..];
                let left = Left::rows(values.as_ptr(), inputs);
                self.product(0, left, to.tangent, false);
            }
            Tangents::Units { .. } => self.unit_tangents(to.tangent),
        }
    }

    fn linear(&self, layer: usize, value: Pair, to: Pair) {
        self.product(layer, value.primal.as_left(), to.primal, true);
        self.product(layer, value.tangent.as_left(), to.tangent, false);
    }

    fn activate(&self, index: usize, value: Pair, to: Pair) {
        let affine = self.pass.affine.get(index);
        let stretch = self.pass.mlp.stretch(affine, self.count);
        let keep = self.keep();
        let forward = Forward {
            stretch,
            from: value.primal,
            to: to.primal,
            keep: Some(keep),
        };
        let tangent = Tangent {
            stretch,
            keep,
            per_row: self.per_row,
            from: value.tangent,
            to: to.tangent,
        };
        // SAFETY: the block's rows of all buffers belong to this task alone, in whole vectors.
        unsafe {
            run(forward);
            run(tangent);
        }
    }

    fn add(&self, skip: Pair, value: Pair, to: Pair) {
        let sum = |a, b, to, rows| Sum {
            a,
            b,
            to,
            rows,
            width: self.pass.mlp.config.hidden,
        };
        let tangents = self.count * self.per_row;
        // SAFETY: the block's rows of all buffers belong to this task alone, in whole vectors.
        unsafe {
            run(sum(skip.primal, value.primal, to.primal, self.count));
            run(sum(skip.tangent, value.tangent, to.tangent, tangents));
        }
    }
}
