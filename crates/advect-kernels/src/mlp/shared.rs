//! Forward pass of many candidates per state: the state's share of the first layer is computed once.
#![allow(unsafe_code)] // blocks write disjoint rows of shared buffers

use super::Precision;
use super::layer::Step;
use super::net::{Form, Net, Packed, block_rows};
use crate::gemm::{
    BF16_ROWS, Finish, Left, Out, PackedPanels, Product, Right, Start, multiply, pack_transposed,
};
use crate::scratch::{Scratch, leading_dim};
use crate::simd::{Kernel, Simd, dispatch};
use crate::threads::{self, Shared};

/// The inputs of a shared forward pass: `context [states, in - width]`, `own [states, per_state, width]` at the input
/// columns `slot..slot + width`.
#[derive(Clone, Copy)]
pub(super) struct Candidates<'a> {
    pub context: &'a [f32],
    pub own: &'a [f32],
    pub states: usize,
    pub per_state: usize,
    pub slot: usize,
    pub width: usize,
}

/// `y [members, states, per_state, out]`.
pub(super) fn forward_shared(net: &Net, input: Candidates, precision: Precision, y: &mut [f32]) {
    let form = if precision == Precision::Bf16 {
        Form::ForwardBf16
    } else {
        Form::Forward
    };
    let packed = Packed::new(net, form, 1, net.layers().max(1));
    let first = dispatch(FirstLayer { net, input });
    let rows = input.states * input.per_state;
    let block = block_rows(rows);
    let blocks = rows.div_ceil(block);
    let y = Shared::new(y);
    threads::for_each(net.members * blocks, |task| {
        let (member, row) = (task / blocks, task % blocks * block);
        let count = block.min(rows - row);
        Block {
            net,
            input,
            packed: &packed,
            first: &first,
            rows,
            y,
            member,
            row,
            count,
        }
        .run();
    });
}

/// The first layer, split: `W_s s + b` of every state, and the panels of `W_a`.
struct Split {
    context: Scratch,
    own: Vec<Scratch>,
}

struct FirstLayer<'a> {
    net: &'a Net<'a>,
    input: Candidates<'a>,
}

impl Kernel for FirstLayer<'_> {
    type Out = Split;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Split {
        let Candidates {
            context,
            states,
            slot,
            width,
            ..
        } = self.input;
        let (inputs, outputs) = self.net.widths(0);
        let (shared, ld) = (inputs - width, leading_dim(outputs));
        let mut out = Scratch::take(self.net.members * states * ld);
        let mut own = Vec::with_capacity(self.net.members);
        for member in 0..self.net.members {
            let weight = self.net.weight(member, 0);
            own.push(pack_columns(
                s,
                weight,
                inputs,
                outputs,
                &[slot..slot + width, 0..0],
            ));
            let panels = pack_columns(s, weight, inputs, outputs, &[0..slot, slot + width..inputs]);
            let base = out[member * states * ld..].as_mut_ptr();
            let product = Product {
                left: Left::rows(context.as_ptr(), shared),
                right: Right::Packed(panels.as_ptr()),
                rows: states,
                k: shared,
                n: outputs,
                start: Start::Bias(self.net.bias(member, 0).as_ptr()),
                finish: Finish::Store,
                out: Out { base, ld },
                bf16: false,
            };
            // SAFETY: the operands have the sizes given, and `out` holds `states` rows.
            unsafe { multiply(&product) };
        }
        Split { context: out, own }
    }
}

/// Panels of the chosen input columns of a weight `[outputs, inputs]`.
#[inline(always)]
fn pack_columns<S: Simd>(
    s: S,
    weight: &[f32],
    inputs: usize,
    outputs: usize,
    ranges: &[std::ops::Range<usize>],
) -> Scratch {
    let k: usize = ranges.iter().map(ExactSizeIterator::len).sum();
    let mut columns = Vec::with_capacity(outputs * k);
    for row in weight.chunks_exact(inputs) {
        ranges
            .iter()
            .for_each(|range| columns.extend_from_slice(&row[range.clone()]));
    }
    let mut panels = Scratch::take(PackedPanels::len::<S>(k, outputs));
    pack_transposed(s, &columns, k, k, outputs, &mut panels);
    panels
}

struct Block<'a> {
    net: &'a Net<'a>,
    input: Candidates<'a>,
    packed: &'a Packed,
    first: &'a Split,
    rows: usize,
    y: Shared,
    member: usize,
    row: usize,
    count: usize,
}

impl Block<'_> {
    fn run(self) {
        let widest = self.net.mlp.sizes.iter().copied().max().unwrap_or(0);
        let room = self.count.next_multiple_of(BF16_ROWS) * leading_dim(widest);
        let mut work = Scratch::take(2 * room);
        let work = Shared::new(&mut work);
        let (mut out, finish) = self.target(0, work, room);
        // SAFETY: the target holds `count` rows of the layer, and the rows belong to this block alone.
        unsafe { self.first_layer(out, finish) };
        for layer in 1..self.net.layers() {
            let (left, start) = (out.as_left(), self.net.bias(self.member, layer).as_ptr());
            let (target, finish) = self.target(layer, work, room);
            let step = Step {
                member: self.member,
                layer,
                rows: self.count,
                left,
                start: Start::Bias(start),
                finish,
                out: target,
            };
            // SAFETY: as above.
            unsafe { self.packed.apply(self.net, step) };
            out = target;
        }
    }

    /// The state's share, computed once, plus the candidate's own.
    ///
    /// # Safety
    /// `out` holds `count` rows of the first layer's outputs that nobody else uses.
    unsafe fn first_layer(&self, out: Out, finish: Finish) {
        let (width, outputs) = (self.input.width, self.net.widths(0).1);
        let ld = leading_dim(outputs);
        let context = &self.first.context[self.member * self.input.states * ld..];
        let product = Product {
            left: Left::rows(self.input.own[self.row * width..].as_ptr(), width),
            right: Right::Packed(self.first.own[self.member].as_ptr()),
            rows: self.count,
            k: width,
            n: outputs,
            start: Start::Rows {
                base: context.as_ptr(),
                ld,
                first: self.row,
                per: self.input.per_state,
            },
            finish,
            out,
            bf16: false,
        };
        // SAFETY: the caller's promise; panels have the layer's shape.
        unsafe { multiply(&product) }
    }

    /// Where a layer's output goes; a layer that feeds bf16 panels stores bf16.
    fn target(&self, layer: usize, work: Shared, room: usize) -> (Out, Finish) {
        let outputs = self.net.widths(layer).1;
        if layer + 1 == self.net.layers() {
            let base = self.y.at((self.member * self.rows + self.row) * outputs);
            return (Out { base, ld: outputs }, Finish::Store);
        }
        let activation = self.net.mlp.activation;
        let feeds_bf16 = self.packed.form() == Form::ForwardBf16 && !self.net.is_narrow(layer + 1);
        let finish = if feeds_bf16 {
            Finish::ActivateBf16(activation)
        } else {
            Finish::Activate(activation)
        };
        let (base, ld) = (work.at(layer % 2 * room), leading_dim(outputs));
        (Out { base, ld }, finish)
    }
}
