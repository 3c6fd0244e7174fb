//! Forward pass: blocks of rows, or of tangents behind them, go through the whole network while they are in cache.
#![allow(unsafe_code)] // blocks write disjoint rows of shared buffers

use crate::dense::{Form, Net, Packed, Rows, Step, block_rows};
use crate::gemm::{Finish, Left, Out, Start};
use crate::scratch::{Scratch, leading_dim};
use crate::threads::{self, Shared};

/// What a backward pass needs: hidden activations and slopes, `[members, rows, leading_dim]` per hidden layer.
pub(crate) struct Saved {
    pub hidden: Vec<Scratch>,
    pub slopes: Vec<Scratch>,
}

impl Saved {
    fn take(net: &Net, rows: usize) -> Self {
        Self {
            hidden: net.hidden_buffers(rows),
            slopes: net.hidden_buffers(rows),
        }
    }
}

/// What a pass does with the hidden layers.
#[derive(Clone, Copy)]
enum Hidden<'a> {
    /// Nothing but the activation.
    Forget,
    /// Activations and slopes are kept.
    Keep(&'a (Vec<Shared>, Vec<Shared>)),
    /// Rows are tangents, which slopes that were kept scale.
    Scale(&'a [Scratch]),
}

/// `y = MLP(x)` for `rows` rows of every member; `y` is `[members, rows, out]`.
pub(super) fn forward(net: &Net, x: Rows, rows: usize, y: &mut [f32]) {
    run(net, x, rows, y, Hidden::Forget);
}

/// `y_dot [members, rows, out]` for `rows` tangents of every member's input, from what a forward pass kept.
pub(super) fn pushforward(net: &Net, x_dot: Rows, rows: usize, saved: &Saved, y_dot: &mut [f32]) {
    run(net, x_dot, rows, y_dot, Hidden::Scale(&saved.slopes));
}

/// As [`forward`], keeping what [`super::backward`] needs.
pub(super) fn forward_saving(net: &Net, x: Rows, rows: usize, y: &mut [f32]) -> Saved {
    let mut saved = Saved::take(net, rows);
    let share = |buffers: &mut Vec<Scratch>| buffers.iter_mut().map(|b| Shared::new(b)).collect();
    let pointers: (Vec<Shared>, Vec<Shared>) = (share(&mut saved.hidden), share(&mut saved.slopes));
    run(net, x, rows, y, Hidden::Keep(&pointers));
    saved
}

fn run(net: &Net, x: Rows, rows: usize, y: &mut [f32], hidden: Hidden) {
    let packed = Packed::new(net, Form::Forward, 0, net.layers());
    let block = block_rows(rows);
    let blocks = rows.div_ceil(block);
    let y = Shared::new(y);
    threads::for_each(net.members * blocks, |task| {
        let (member, first) = (task / blocks, task % blocks * block);
        let count = block.min(rows - first);
        Block {
            net,
            packed: &packed,
            x,
            rows,
            y,
            hidden,
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
    x: Rows<'a>,
    rows: usize,
    y: Shared,
    hidden: Hidden<'a>,
    member: usize,
    first: usize,
    count: usize,
}

impl Block<'_> {
    fn run(self) {
        let widest = self.net.widest();
        let room = match self.hidden {
            Hidden::Keep(_) => 0,
            _ => self.count * leading_dim(widest),
        };
        let mut work = Scratch::take(2 * room);
        let work = Shared::new(&mut work);
        let start = self.member * self.x.member_stride + self.first * self.x.ld;
        let mut left = Left::rows(self.x.values[start..].as_ptr(), self.x.ld);
        for layer in 0..self.net.layers() {
            let (out, finish) = self.target(layer, work, room);
            let step = Step {
                member: self.member,
                layer,
                rows: self.count,
                left,
                start: match self.hidden {
                    Hidden::Scale(_) => Start::Zero,
                    _ => Start::Bias(self.net.bias(self.member, layer).as_ptr()),
                },
                finish,
                out,
            };
            // SAFETY: `target` gives memory for `count` rows of this layer that no other block touches.
            unsafe { self.packed.apply(self.net, step) };
            left = out.as_left();
        }
    }

    /// Where a layer's output goes, and what is done to it.
    fn target(&self, layer: usize, work: Shared, room: usize) -> (Out, Finish) {
        let outputs = self.net.widths(layer).1;
        let row = self.member * self.rows + self.first;
        if layer + 1 == self.net.layers() {
            let (base, ld) = (self.y.at(row * outputs), outputs);
            return (Out { base, ld }, Finish::Store);
        }
        let (activation, ld) = (self.net.activation, leading_dim(outputs));
        let base = work.at(layer % 2 * room);
        match self.hidden {
            Hidden::Forget => (Out { base, ld }, Finish::Activate(activation)),
            Hidden::Scale(slopes) => {
                let scale = Finish::Scale {
                    base: slopes[layer][row * ld..].as_ptr(),
                    ld,
                    first: 0,
                    per: 1,
                };
                (Out { base, ld }, scale)
            }
            Hidden::Keep((hidden, slopes)) => {
                let (base, slope) = (hidden[layer].at(row * ld), slopes[layer].at(row * ld));
                let keep = Finish::ActivateKeep {
                    activation,
                    slope,
                    ld,
                };
                (Out { base, ld }, keep)
            }
        }
    }
}
