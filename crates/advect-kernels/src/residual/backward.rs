//! Backward pass: cotangents by blocks of rows, then every weight gradient as one product over all rows.
//!
//! The gradients of a LayerNorm's gain and shift are summed per block and the blocks' sums in order, so that the result
//! has the same bits for any number of threads.
#![allow(unsafe_code)] // blocks write disjoint rows of shared buffers

use super::ResidualMlp;
use super::forward::Saved;
use super::norm::{Affine, Keep, Stretch};
use super::norm_derivative::Backward;
use super::rows::{Sum, run};
use crate::dense::{
    Form, Gradients, Net, Operands, Packed, Rows, Stage, Step, Wanted, block_rows, weight_gradients,
};
use crate::gemm::{Finish, Left, Out, Start};
use crate::scratch::{Scratch, leading_dim};
use crate::threads::{self, Shared};

/// Gradients of `sum(cotangent * y)` for `cotangent [rows, out]`.
pub(super) fn backward(
    mlp: &ResidualMlp,
    net: &Net,
    x: Rows,
    rows: usize,
    saved: &Saved,
    cotangent: &[f32],
    wanted: Wanted,
) -> Gradients {
    let mut deltas = net.hidden_buffers(rows);
    let mut grad_x = wanted.x.then(|| vec![0.0; rows * net.input_dim()]);
    let mut sums = NormSums::new(mlp, rows);
    let pass = Pass {
        mlp,
        net,
        packed: Packed::new(net, Form::Backward, usize::from(!wanted.x), net.layers()),
        affine: mlp.affine(net),
        saved,
        cotangent,
        deltas: deltas.iter_mut().map(|d| Shared::new(d)).collect(),
        x: grad_x.as_deref_mut().map(Shared::new),
        sums: Shared::new(&mut sums.values),
    };
    pass.run(rows);
    let operands = Operands {
        inputs: &saved.inputs,
        deltas: &deltas,
        cotangent,
    };
    let params = wanted.params.then(|| {
        let mut grads = weight_gradients(net, x, rows, operands);
        sums.add_to(mlp, &mut grads);
        grads
    });
    Gradients { params, x: grad_x }
}

/// Gradients of the gains and shifts, `[blocks, norms, 2, leading_dim(hidden)]`.
struct NormSums {
    values: Scratch,
}

impl NormSums {
    fn new(mlp: &ResidualMlp, rows: usize) -> Self {
        let blocks = rows.div_ceil(block_rows(rows));
        let mut values = Scratch::take(blocks * Self::per_block(mlp));
        values.fill(0.0);
        Self { values }
    }

    fn per_block(mlp: &ResidualMlp) -> usize {
        mlp.program.norms.len() * 2 * leading_dim(mlp.config.hidden)
    }

    fn add_to(&self, mlp: &ResidualMlp, grads: &mut [f32]) {
        let (width, ld) = (mlp.config.hidden, leading_dim(mlp.config.hidden));
        for block in self.values.chunks_exact(Self::per_block(mlp).max(1)) {
            for (norm, &offset) in block.chunks_exact(2 * ld).zip(&mlp.program.norms) {
                let (gain, shift) = grads[offset..offset + 2 * width].split_at_mut(width);
                gain.iter_mut().zip(norm).for_each(|(g, sum)| *g += sum);
                let sums = &norm[ld..];
                shift.iter_mut().zip(sums).for_each(|(g, sum)| *g += sum);
            }
        }
    }
}

struct Pass<'a> {
    mlp: &'a ResidualMlp,
    net: &'a Net<'a>,
    packed: Packed,
    affine: Vec<Affine>,
    saved: &'a Saved,
    cotangent: &'a [f32],
    deltas: Vec<Shared>,
    x: Option<Shared>,
    sums: Shared,
}

impl Pass<'_> {
    fn run(&self, rows: usize) {
        let block = block_rows(rows);
        threads::for_each(rows.div_ceil(block), |task| {
            let first = task * block;
            let count = block.min(rows - first);
            Block::run(self, task, first, count);
        });
    }
}

/// Rows `first..first + count`, the `index`-th block; `work` holds two slots of rows.
struct Block<'a> {
    pass: &'a Pass<'a>,
    index: usize,
    first: usize,
    count: usize,
    ld: usize,
    work: Shared,
}

impl Block<'_> {
    fn run(pass: &Pass, index: usize, first: usize, count: usize) {
        let ld = leading_dim(pass.mlp.config.hidden);
        let mut work = Scratch::take(2 * count * ld);
        let work = Shared::new(&mut work);
        let block = Block {
            pass,
            index,
            first,
            count,
            ld,
            work,
        };
        let stages = &pass.mlp.program.stages;
        let mut grad = block.output_layer(stages.len() - 1);
        let mut skip = grad;
        for at in (1..stages.len() - 1).rev() {
            let to = block.home(at - 1);
            match stages[at] {
                Stage::Add => {
                    skip = grad;
                    continue;
                }
                Stage::Linear(layer) => block.linear(layer, grad.as_left(), to),
                Stage::Activate(act) => block.activate(act, grad, to),
                Stage::Enter => block.add(skip, grad, to),
            }
            grad = to;
        }
        if let Some(x) = pass.x {
            let ld = pass.net.input_dim();
            let base = x.at(first * ld);
            block.linear(0, grad.as_left(), Out { base, ld });
        }
    }

    /// Where the cotangent of the output of stage `at` lies: that of a linear layer is kept for its weight gradient.
    fn home(&self, at: usize) -> Out {
        let room = self.count * self.ld;
        let base = match self.pass.mlp.program.stages[at] {
            Stage::Linear(layer) => self.pass.deltas[layer].at(self.first * self.ld),
            Stage::Add => return self.home(at - 1),
            Stage::Activate(_) => self.work.at(0),
            Stage::Enter => self.work.at(room),
        };
        Out { base, ld: self.ld }
    }

    /// The last layer: from the network's cotangent to that of stage `last - 1`.
    fn output_layer(&self, last: usize) -> Out {
        let (to, ld) = (self.home(last - 1), self.pass.net.output_dim());
        let cotangent = &self.pass.cotangent[self.first * ld..];
        let left = Left::rows(cotangent.as_ptr(), ld);
        self.linear(self.pass.net.layers() - 1, left, to);
        to
    }

    fn linear(&self, layer: usize, left: Left, out: Out) {
        let step = Step {
            member: 0,
            layer,
            rows: self.count,
            left,
            start: Start::Zero,
            finish: Finish::Store,
            out,
        };
        // SAFETY: the block's rows of all buffers belong to this task alone and have the layer's widths.
        unsafe { self.pass.packed.apply(self.pass.net, step) };
    }

    fn activate(&self, index: usize, grad: Out, to: Out) {
        let size = 2 * self.ld;
        let norm = self.index * self.pass.affine.len() + index;
        let pass = Backward {
            stretch: self.stretch(index),
            keep: self.keep(index),
            from: grad,
            to,
            sums: self.pass.sums.at(norm * size),
        };
        // SAFETY: the block's rows of all buffers belong to this task alone, in whole vectors.
        unsafe { run(pass) };
    }

    /// What the forward pass saved; read only.
    fn keep(&self, index: usize) -> Keep {
        let (saved, ld) = (self.pass.saved, self.ld);
        let part = |buffers: &[Scratch], at: usize| match buffers.get(index) {
            Some(buffer) => buffer[at..].as_ptr().cast_mut(),
            None => std::ptr::null_mut(), // not used without LayerNorm
        };
        let matrix = |buffers: &[Scratch]| Out {
            base: part(buffers, self.first * ld),
            ld,
        };
        Keep {
            slope: matrix(&saved.slopes),
            normed: matrix(&saved.normed),
            scale: part(&saved.scales, self.first),
        }
    }

    fn add(&self, skip: Out, grad: Out, to: Out) {
        let pass = Sum {
            a: skip,
            b: grad,
            to,
            rows: self.count,
            width: self.pass.mlp.config.hidden,
        };
        // SAFETY: the block's rows of all buffers belong to this task alone, in whole vectors.
        unsafe { run(pass) };
    }

    fn stretch(&self, index: usize) -> Stretch<'_> {
        let affine = self.pass.affine.get(index);
        self.pass.mlp.stretch(affine, self.count)
    }
}
