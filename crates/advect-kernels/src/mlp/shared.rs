//! Forward pass of many candidates per state: the state's share of the first layer is computed once.
#![allow(unsafe_code)] // blocks write disjoint rows of shared buffers

use super::Precision;
use super::forward::narrow_layer;
use super::net::{Form, Net, Packed, block_rows};
use crate::gemm::{
    BF16_ROWS, Finish, Left, PackedPanels, Product, Right, Start, multiply, pack_transposed,
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
            form,
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
            let left = Left {
                base: context.as_ptr(),
                row_stride: shared,
                k_stride: 1,
            };
            let start = Start::Bias(self.net.bias(member, 0).as_ptr());
            let out = out[member * states * ld..].as_mut_ptr();
            let right = Right::Packed(panels.as_ptr());
            let product = Product {
                left,
                right,
                rows: states,
                k: shared,
                n: outputs,
                start,
                finish: Finish::Store,
                out,
                out_ld: ld,
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
    form: Form,
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
        let mut input = self.own_rows();
        for layer in 0..self.net.layers() {
            let (out, out_ld, finish) = self.target(layer, work, room);
            // SAFETY: the target holds `count` rows of the layer, and the rows belong to this block alone.
            unsafe { self.layer(layer, input, finish, out, out_ld) };
            input = Left {
                base: out,
                row_stride: out_ld,
                k_stride: 1,
            };
        }
    }
}

impl Block<'_> {
    fn own_rows(&self) -> Left {
        let width = self.input.width;
        Left {
            base: self.input.own[self.row * width..].as_ptr(),
            row_stride: width,
            k_stride: 1,
        }
    }

    /// Whether the layer's product runs on bf16 operands.
    fn is_bf16(&self, layer: usize) -> bool {
        self.form == Form::ForwardBf16
            && (1..self.net.layers()).contains(&layer)
            && !self.is_dot(layer)
    }

    /// Whether the layer is computed by dot products.
    fn is_dot(&self, layer: usize) -> bool {
        layer > 0 && self.net.is_narrow(layer)
    }

    fn target(&self, layer: usize, work: Shared, room: usize) -> (*mut f32, usize, Finish) {
        let outputs = self.net.widths(layer).1;
        if layer + 1 == self.net.layers() {
            let row = self.member * self.rows + self.row;
            return (self.y.at(row * outputs), outputs, Finish::Store);
        }
        let activation = self.net.mlp.activation;
        let finish = if self.is_bf16(layer + 1) {
            Finish::ActivateBf16(activation)
        } else {
            Finish::Activate(activation)
        };
        (work.at(layer % 2 * room), leading_dim(outputs), finish)
    }

    unsafe fn layer(&self, layer: usize, left: Left, finish: Finish, out: *mut f32, out_ld: usize) {
        let (inputs, n) = self.net.widths(layer);
        let rows = self.count;
        let bias = self.net.bias(self.member, layer);
        // SAFETY: the caller's promise; panels have the layer's shape.
        unsafe {
            if layer == 0 {
                let ld = leading_dim(n);
                let base = self.first.context[self.member * self.input.states * ld..].as_ptr();
                let start = Start::Rows {
                    base,
                    ld,
                    first: self.row,
                    per: self.input.per_state,
                };
                let right = Right::Packed(self.first.own[self.member].as_ptr());
                let k = self.input.width;
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
            } else if self.is_dot(layer) {
                narrow_layer(
                    self.net.weight(self.member, layer),
                    bias,
                    left,
                    rows,
                    inputs,
                    out,
                    out_ld,
                );
            } else {
                let bf16 = self.is_bf16(layer);
                let k = if bf16 { inputs.div_ceil(2) } else { inputs };
                let right = Right::Packed(self.packed.panels(self.member, layer));
                let start = Start::Bias(bias.as_ptr());
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
                    bf16,
                });
            }
        }
    }
}
