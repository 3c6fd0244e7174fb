//! Forward-mode derivatives from what a forward pass kept: rows of tangents pass the weights and the slopes.
#![allow(unsafe_code)] // blocks write disjoint rows of shared buffers

use super::forward::Saved;
use crate::dense::{Form, Net, Packed, Rows, Step, block_rows};
use crate::gemm::{Finish, Left, Out, Start};
use crate::scratch::{Scratch, leading_dim};
use crate::threads::{self, Shared};

/// `y_dot [members, rows, out]` for `rows` tangents of every member's input.
pub(super) fn pushforward(net: &Net, x_dot: Rows, rows: usize, saved: &Saved, y_dot: &mut [f32]) {
    let packed = Packed::new(net, Form::Forward, 0, net.layers());
    let block = block_rows(rows);
    let blocks = rows.div_ceil(block);
    let y_dot = Shared::new(y_dot);
    threads::for_each(net.members * blocks, |task| {
        let (member, first) = (task / blocks, task % blocks * block);
        let count = block.min(rows - first);
        Block {
            net,
            packed: &packed,
            x_dot,
            rows,
            slopes: &saved.slopes,
            y_dot,
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
    x_dot: Rows<'a>,
    rows: usize,
    slopes: &'a [Scratch],
    y_dot: Shared,
    member: usize,
    first: usize,
    count: usize,
}

impl Block<'_> {
    fn run(self) {
        let room = self.count * leading_dim(self.net.widest());
        let mut work = Scratch::take(2 * room);
        let work = Shared::new(&mut work);
        let start = self.member * self.x_dot.member_stride + self.first * self.x_dot.ld;
        let mut left = Left::rows(self.x_dot.values[start..].as_ptr(), self.x_dot.ld);
        for layer in 0..self.net.layers() {
            let (out, finish) = self.target(layer, work.at(layer % 2 * room));
            let step = Step {
                member: self.member,
                layer,
                rows: self.count,
                left,
                start: Start::Zero,
                finish,
                out,
            };
            // SAFETY: `target` gives memory for `count` rows of this layer that no other block touches.
            unsafe { self.packed.apply(self.net, step) };
            left = out.as_left();
        }
    }

    /// Where a layer's tangents go, and the slopes that scale them.
    fn target(&self, layer: usize, work: *mut f32) -> (Out, Finish) {
        let outputs = self.net.widths(layer).1;
        let row = self.member * self.rows + self.first;
        let Some(slopes) = self.slopes.get(layer) else {
            let (base, ld) = (self.y_dot.at(row * outputs), outputs);
            return (Out { base, ld }, Finish::Store);
        };
        let ld = leading_dim(outputs);
        let finish = Finish::Scale {
            base: slopes[row * ld..].as_ptr(),
            ld,
            first: 0,
            per: 1,
        };
        (Out { base: work, ld }, finish)
    }
}
