//! The first layer of many candidates per state: the state's share is computed once.
#![allow(unsafe_code)] // products take raw pointers

use super::net::Net;
use crate::gemm::{
    Finish, Left, Out, PackedPanels, Product, Right, Start, multiply, pack_transposed,
};
use crate::scratch::{Scratch, leading_dim};
use crate::simd::{Kernel, Simd, dispatch};

/// The inputs of a shared forward pass: `context [states, in - width]`, `own [states, per_state, width]` at the input
/// columns `slot..slot + width`.
#[derive(Clone, Copy)]
pub(crate) struct Candidates<'a> {
    pub context: &'a [f32],
    pub own: &'a [f32],
    pub states: usize,
    pub per_state: usize,
    pub slot: usize,
    pub width: usize,
}

/// The first layer, split: `W_s s + b` of every state, and the panels of `W_a`.
pub(crate) struct Split<'a> {
    net: &'a Net<'a>,
    input: Candidates<'a>,
    context: Scratch,
    own: Vec<Scratch>,
}

/// Candidate rows `row..row + count` of a member.
#[derive(Clone, Copy)]
pub(crate) struct RowRange {
    pub member: usize,
    pub row: usize,
    pub count: usize,
}

impl<'a> Split<'a> {
    /// Computes the states' shares.
    pub fn new(net: &'a Net<'a>, input: Candidates<'a>) -> Self {
        dispatch(FirstLayer { net, input })
    }

    /// The first layer of some candidates: the state's share plus the candidate's own.
    ///
    /// # Safety
    /// `out` holds `range.count` rows of the first layer's outputs that nobody else uses.
    pub unsafe fn apply(&self, range: RowRange, out: Out, finish: Finish) {
        let (width, outputs) = (self.input.width, self.net.widths(0).1);
        let ld = leading_dim(outputs);
        let context = &self.context[range.member * self.input.states * ld..];
        let product = Product {
            left: Left::rows(self.input.own[range.row * width..].as_ptr(), width),
            right: Right::Packed(self.own[range.member].as_ptr()),
            rows: range.count,
            k: width,
            n: outputs,
            start: Start::Rows {
                base: context.as_ptr(),
                ld,
                first: range.row,
                per: self.input.per_state,
            },
            finish,
            out,
            bf16: false,
        };
        // SAFETY: the caller's promise; panels have the layer's shape.
        unsafe { multiply(&product) }
    }
}

struct FirstLayer<'a> {
    net: &'a Net<'a>,
    input: Candidates<'a>,
}

impl<'a> Kernel for FirstLayer<'a> {
    type Out = Split<'a>;

    #[inline(always)]
    fn run<S: Simd>(self, s: S) -> Split<'a> {
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
        Split {
            net: self.net,
            input: self.input,
            context: out,
            own,
        }
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
