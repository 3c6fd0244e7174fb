//! Forward pass: blocks of rows go through the whole network while they are in cache.
#![allow(unsafe_code)] // blocks write disjoint rows of shared buffers

use super::ResidualMlp;
use super::norm::{Affine, Forward, Keep, Stretch};
use super::program::Stages;
use super::rows::{Sum, ToBf16, run};
use crate::dense::{Candidates, Form, Net, Packed, RowRange, Rows, Split, Step, block_rows};
use crate::gemm::{BF16_ROWS, Finish, Left, Out, Start};
use crate::mlp::Precision;
use crate::scratch::{Scratch, leading_dim};
use crate::threads::{self, Shared};

/// What a backward pass needs, `[rows, leading_dim(hidden)]` each: the inputs of the layers after the first, and of every
/// activation stage `a'` and, with LayerNorm, the normalised rows and their scales `[rows]`.
pub(crate) struct Saved {
    pub inputs: Vec<Scratch>,
    pub slopes: Vec<Scratch>,
    pub normed: Vec<Scratch>,
    pub scales: Vec<Scratch>,
}

impl Saved {
    fn take(mlp: &ResidualMlp, net: &Net, rows: usize) -> Self {
        let ld = leading_dim(mlp.config.hidden);
        let (activations, norms) = (mlp.program.activations(), mlp.program.norms.len());
        let take = |count: usize, len: usize| (0..count).map(|_| Scratch::take(len)).collect();
        Self {
            inputs: net.hidden_buffers(rows),
            slopes: take(activations, rows * ld),
            normed: take(norms, rows * ld),
            scales: take(norms, rows),
        }
    }

    fn share(&mut self) -> SavedParts {
        let share =
            |buffers: &mut Vec<Scratch>| buffers.iter_mut().map(|b| Shared::new(b)).collect();
        SavedParts {
            inputs: share(&mut self.inputs),
            slopes: share(&mut self.slopes),
            normed: share(&mut self.normed),
            scales: share(&mut self.scales),
        }
    }
}

/// [`Saved`] as blocks write it.
struct SavedParts {
    inputs: Vec<Shared>,
    slopes: Vec<Shared>,
    normed: Vec<Shared>,
    scales: Vec<Shared>,
}

/// Where the first layer's input comes from.
enum Source<'a> {
    Rows(Rows<'a>),
    Candidates(Split<'a>),
}

/// `y [rows, out]`.
pub(super) fn forward(mlp: &ResidualMlp, net: &Net, x: Rows, rows: usize, y: &mut [f32]) {
    let packed = Packed::new(net, Form::Forward, 0, net.layers());
    Pass::new(mlp, net, Source::Rows(x), packed, y).run(rows);
}

/// As [`forward`], keeping what [`super::backward`] needs.
pub(super) fn forward_saving(
    mlp: &ResidualMlp,
    net: &Net,
    x: Rows,
    rows: usize,
    y: &mut [f32],
) -> Saved {
    let mut saved = Saved::take(mlp, net, rows);
    let packed = Packed::new(net, Form::Forward, 0, net.layers());
    let pass = Pass {
        saved: Some(saved.share()),
        ..Pass::new(mlp, net, Source::Rows(x), packed, y)
    };
    pass.run(rows);
    saved
}

/// `y [states, per_state, out]`.
pub(super) fn forward_shared(
    mlp: &ResidualMlp,
    net: &Net,
    input: Candidates,
    precision: Precision,
    y: &mut [f32],
) {
    let packed = Packed::new(net, Form::forward(precision), 1, net.layers());
    let source = Source::Candidates(Split::new(net, input));
    Pass::new(mlp, net, source, packed, y).run(input.states * input.per_state);
}

struct Pass<'a> {
    mlp: &'a ResidualMlp,
    net: &'a Net<'a>,
    source: Source<'a>,
    packed: Packed,
    affine: Vec<Affine>,
    y: Shared,
    saved: Option<SavedParts>,
}

impl<'a> Pass<'a> {
    fn new(
        mlp: &'a ResidualMlp,
        net: &'a Net<'a>,
        source: Source<'a>,
        packed: Packed,
        y: &mut [f32],
    ) -> Self {
        Self {
            mlp,
            net,
            source,
            packed,
            affine: mlp.affine(net),
            y: Shared::new(y),
            saved: None,
        }
    }

    fn run(self, rows: usize) {
        let block = block_rows(rows);
        threads::for_each(rows.div_ceil(block), |task| {
            let first = task * block;
            let count = block.min(rows - first);
            Block::run(&self, first, count);
        });
    }
}

/// Rows `first..first + count`; `work` holds three slots of rows and one of rows in bf16.
struct Block<'a> {
    pass: &'a Pass<'a>,
    first: usize,
    count: usize,
    ld: usize,
    work: Shared,
}

impl Block<'_> {
    fn run(pass: &Pass, first: usize, count: usize) {
        let ld = leading_dim(pass.mlp.config.hidden);
        let slots = 3 + usize::from(pass.packed.form() == Form::ForwardBf16);
        let mut work = Scratch::take(slots * count.next_multiple_of(BF16_ROWS) * ld);
        let work = Shared::new(&mut work);
        let block = Block {
            pass,
            first,
            count,
            ld,
            work,
        };
        pass.mlp.program.run(&block, block.slot(0));
    }

    fn slot(&self, slot: usize) -> Out {
        let room = self.count.next_multiple_of(BF16_ROWS) * self.ld;
        Out {
            base: self.work.at(slot * room),
            ld: self.ld,
        }
    }

    fn product(&self, layer: usize, left: Left, out: Out) {
        let step = Step {
            member: 0,
            layer,
            rows: self.count,
            left,
            start: Start::Bias(self.pass.net.bias(0, layer).as_ptr()),
            finish: Finish::Store,
            out,
        };
        // SAFETY: `left` and `out` hold `count` rows of the layer's widths that belong to this block alone.
        unsafe { self.pass.packed.apply(self.pass.net, step) };
    }

    fn keep(&self, saved: &SavedParts, index: usize) -> Keep {
        let ld = self.ld;
        let slope = saved.slopes[index].at(self.first * ld);
        let (normed, scale) = match (saved.normed.get(index), saved.scales.get(index)) {
            (Some(normed), Some(scale)) => (normed.at(self.first * ld), scale.at(self.first)),
            _ => (slope, slope), // not used without LayerNorm
        };
        Keep {
            slope: Out { base: slope, ld },
            normed: Out { base: normed, ld },
            scale,
        }
    }

    fn stretch(&self, index: usize) -> Stretch<'_> {
        let affine = self.pass.affine.get(index);
        self.pass.mlp.stretch(affine, self.count)
    }
}

impl Stages for Block<'_> {
    type Value = Out;

    /// Where the output of stage `at` goes.
    fn target(&self, at: usize) -> Out {
        let program = &self.pass.mlp.program;
        if at + 1 == program.stages.len() {
            let ld = self.pass.net.output_dim();
            let base = self.pass.y.at(self.first * ld);
            return Out { base, ld };
        }
        match (&self.pass.saved, program.reader(at)) {
            (Some(saved), Some(layer)) => Out {
                base: saved.inputs[layer - 1].at(self.first * self.ld),
                ld: self.ld,
            },
            _ => self.slot(program.slot(at)),
        }
    }

    fn first_layer(&self, to: Out) {
        match &self.pass.source {
            Source::Rows(x) => {
                let left = Left::rows(x.values[self.first * x.ld..].as_ptr(), x.ld);
                self.product(0, left, to);
            }
            Source::Candidates(split) => {
                let range = RowRange {
                    member: 0,
                    row: self.first,
                    count: self.count,
                };
                // SAFETY: `to` holds `count` rows of the layer's outputs that belong to this block alone.
                unsafe { split.apply(range, to, Finish::Store) };
            }
        }
    }

    fn linear(&self, layer: usize, value: Out, to: Out) {
        let narrow = self.pass.net.is_narrow(layer);
        if self.pass.packed.form() != Form::ForwardBf16 || narrow {
            return self.product(layer, value.as_left(), to);
        }
        let rounded = self.slot(3);
        let pass = ToBf16 {
            stretch: self.stretch(0),
            from: value,
            to: rounded,
        };
        // SAFETY: the block's rows of all buffers belong to this task alone, in whole vectors.
        unsafe { run(pass) };
        self.product(layer, rounded.as_left(), to);
    }

    fn activate(&self, index: usize, value: Out, to: Out) {
        let pass = Forward {
            stretch: self.stretch(index),
            from: value,
            to,
            keep: self
                .pass
                .saved
                .as_ref()
                .map(|saved| self.keep(saved, index)),
        };
        // SAFETY: the block's rows of all buffers belong to this task alone, in whole vectors.
        unsafe { run(pass) };
    }

    fn add(&self, skip: Out, value: Out, to: Out) {
        let pass = Sum {
            a: skip,
            b: value,
            to,
            rows: self.count,
            width: self.pass.mlp.config.hidden,
        };
        // SAFETY: the block's rows of all buffers belong to this task alone, in whole vectors.
        unsafe { run(pass) };
    }
}
