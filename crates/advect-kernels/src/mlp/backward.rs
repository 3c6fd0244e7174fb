//! Backward pass: cotangents by blocks of rows, then every weight gradient as one product over all rows.
#![allow(unsafe_code)] // tasks write disjoint parts of shared buffers

use super::forward::Saved;
use crate::dense::{
    Form, Gradients, Net, Operands, Packed, Rows, Step, Wanted, block_rows, weight_gradients,
};
use crate::gemm::{Finish, Left, Out, Start};
use crate::scratch::{Scratch, leading_dim};
use crate::threads::{self, Shared};

/// Runs the backward pass for `cotangent [members, rows, out]`.
pub(super) fn backward(
    net: &Net,
    x: Rows,
    rows: usize,
    saved: &Saved,
    cotangent: &[f32],
    wanted: Wanted,
) -> Gradients {
    let mut deltas = net.hidden_buffers(rows);
    let mut grad_x = wanted
        .x
        .then(|| vec![0.0; net.members * rows * net.input_dim()]);
    propagate(
        net,
        rows,
        saved,
        cotangent,
        &mut deltas,
        grad_x.as_deref_mut(),
    );
    let operands = Operands {
        inputs: &saved.hidden,
        deltas: &deltas,
        cotangent,
    };
    let params = wanted
        .params
        .then(|| weight_gradients(net, x, rows, operands));
    Gradients { params, x: grad_x }
}

/// `delta_{l-1} = (delta_l W_l) * a'(z_{l-1})` down to the first hidden layer, and to the input where wanted.
fn propagate(
    net: &Net,
    rows: usize,
    saved: &Saved,
    cotangent: &[f32],
    deltas: &mut [Scratch],
    x: Option<&mut [f32]>,
) {
    let lowest = usize::from(x.is_none());
    let packed = Packed::new(net, Form::Backward, lowest.min(net.layers()), net.layers());
    let block = block_rows(rows);
    let blocks = rows.div_ceil(block);
    let deltas: Vec<Shared> = deltas.iter_mut().map(|d| Shared::new(d)).collect();
    let x = x.map(Shared::new);
    threads::for_each(net.members * blocks, |task| {
        let (member, first) = (task / blocks, task % blocks * block);
        let count = block.min(rows - first);
        Propagate {
            net,
            packed: &packed,
            rows,
            saved,
            cotangent,
            deltas: &deltas,
            x,
            member,
            first,
            count,
        }
        .run();
    });
}

struct Propagate<'a> {
    net: &'a Net<'a>,
    packed: &'a Packed,
    rows: usize,
    saved: &'a Saved,
    cotangent: &'a [f32],
    deltas: &'a [Shared],
    x: Option<Shared>,
    member: usize,
    first: usize,
    count: usize,
}

impl Propagate<'_> {
    fn run(self) {
        let row = self.member * self.rows + self.first;
        let outputs = self.net.output_dim();
        let mut left = Left::rows(self.cotangent[row * outputs..].as_ptr(), outputs);
        for layer in (0..self.net.layers()).rev() {
            let Some((out, finish)) = self.target(layer, row) else {
                return;
            };
            let step = Step {
                member: self.member,
                layer,
                rows: self.count,
                left,
                start: Start::Zero,
                finish,
                out,
            };
            // SAFETY: the block's rows of all buffers belong to this task alone and have the layer's widths.
            unsafe { self.packed.apply(self.net, step) };
            left = out.as_left();
        }
    }

    /// Where the cotangent of a layer's input goes; nothing for an input whose gradient is not wanted.
    fn target(&self, layer: usize, row: usize) -> Option<(Out, Finish)> {
        let width = self.net.widths(layer).0;
        if layer == 0 {
            let base = self.x?.at(row * width);
            return Some((Out { base, ld: width }, Finish::Store));
        }
        let ld = leading_dim(width);
        let scale = Finish::Scale {
            base: self.saved.slopes[layer - 1][row * ld..].as_ptr(),
            ld,
            first: 0,
            per: 1,
        };
        let base = self.deltas[layer - 1].at(row * ld);
        Some((Out { base, ld }, scale))
    }
}
