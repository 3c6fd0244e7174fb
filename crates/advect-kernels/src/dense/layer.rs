//! One layer of a network on some rows: panels, or dot products where a layer has a handful of outputs.
#![allow(unsafe_code)] // outputs are raw rows of shared buffers

use super::net::{Form, NARROW, Net, Packed};
use crate::gemm::{Finish, Left, Out, Product, Right, Start, dot, multiply};
use crate::simd::{Kernel, Simd, dispatch};

/// A layer's product with its operands.
#[derive(Clone, Copy)]
pub(crate) struct Step {
    pub member: usize,
    pub layer: usize,
    pub rows: usize,
    pub left: Left,
    pub start: Start,
    pub finish: Finish,
    pub out: Out,
}

impl Packed {
    /// Runs one layer of `net`, whose weights these are; a layer of dot products starts from zero or its bias and ignores
    /// `finish`, since it is the last.
    ///
    /// # Safety
    /// `step.left` and `step.out` cover `step.rows` rows of the layer's widths, and nobody else uses the output.
    pub unsafe fn apply(&self, net: &Net, step: Step) {
        let Step {
            member,
            layer,
            rows,
            left,
            start,
            finish,
            out,
        } = step;
        if self.form() != Form::Backward && net.is_narrow(layer) {
            let bias = match start {
                Start::Bias(_) => net.bias(member, layer),
                _ => &[0.0; NARROW][..net.widths(layer).1],
            };
            return dispatch(Narrow {
                weight: net.weight(member, layer),
                bias,
                left,
                rows,
                k: net.widths(layer).0,
                out,
            });
        }
        let (k, n) = self.form().shape(net, layer);
        let product = Product {
            left,
            right: Right::Packed(self.panels(member, layer)),
            rows,
            k,
            n,
            start,
            finish,
            out,
            bf16: self.form() == Form::ForwardBf16,
        };
        // SAFETY: the caller's promise; the panels have the layer's shape.
        unsafe { multiply(&product) }
    }
}

/// `out = x W^T + b` for at most [`NARROW`] outputs.
struct Narrow<'a> {
    weight: &'a [f32],
    bias: &'a [f32],
    left: Left,
    rows: usize,
    k: usize,
    out: Out,
}

impl Kernel for Narrow<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for row in 0..self.rows {
            for (j, &b) in self.bias.iter().enumerate() {
                // SAFETY: rows and outputs lie inside the operands, as `apply` requires.
                unsafe {
                    let x = self.left.base.add(row * self.left.row_stride);
                    let weight = self.weight[j * self.k..].as_ptr();
                    *self.out.base.add(row * self.out.ld + j) = b + dot(s, x, weight, self.k);
                }
            }
        }
    }
}
