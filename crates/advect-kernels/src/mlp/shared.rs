//! Forward pass of many candidates per state: the state's share of the first layer is computed once.
#![allow(unsafe_code)] // blocks write disjoint rows of shared buffers

use super::Precision;
use crate::dense::{Candidates, Form, Net, Packed, RowRange, Split, Step, block_rows};
use crate::gemm::{BF16_ROWS, Finish, Out, Start};
use crate::scratch::{Scratch, leading_dim};
use crate::threads::{self, Shared};

/// `y [members, states, per_state, out]`.
pub(super) fn forward_shared(net: &Net, input: Candidates, precision: Precision, y: &mut [f32]) {
    let packed = Packed::new(net, Form::forward(precision), 1, net.layers().max(1));
    let first = Split::new(net, input);
    let rows = input.states * input.per_state;
    let block = block_rows(rows);
    let blocks = rows.div_ceil(block);
    let y = Shared::new(y);
    threads::for_each(net.members * blocks, |task| {
        let (member, row) = (task / blocks, task % blocks * block);
        let count = block.min(rows - row);
        Block {
            net,
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

struct Block<'a> {
    net: &'a Net<'a>,
    packed: &'a Packed,
    first: &'a Split<'a>,
    rows: usize,
    y: Shared,
    member: usize,
    row: usize,
    count: usize,
}

impl Block<'_> {
    fn run(self) {
        let widest = self.net.widest();
        let room = self.count.next_multiple_of(BF16_ROWS) * leading_dim(widest);
        let mut work = Scratch::take(2 * room);
        let work = Shared::new(&mut work);
        let (mut out, finish) = self.target(0, work, room);
        let range = RowRange {
            member: self.member,
            row: self.row,
            count: self.count,
        };
        // SAFETY: the target holds `count` rows of the layer, and the rows belong to this block alone.
        unsafe { self.first.apply(range, out, finish) };
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

    /// Where a layer's output goes; a layer that feeds bf16 panels stores bf16.
    fn target(&self, layer: usize, work: Shared, room: usize) -> (Out, Finish) {
        let outputs = self.net.widths(layer).1;
        if layer + 1 == self.net.layers() {
            let base = self.y.at((self.member * self.rows + self.row) * outputs);
            return (Out { base, ld: outputs }, Finish::Store);
        }
        let activation = self.net.activation;
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
