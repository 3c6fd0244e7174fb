//! Linear layers as the kernels see them: shapes, places, and parameters as slices.

use crate::gemm::{PackedPanels, pack_bf16, pack_plain, pack_transposed};
use crate::mlp::{Activation, Precision};
use crate::scratch::{Scratch, leading_dim};
use crate::simd::{Kernel, Simd, dispatch};
use crate::threads::{self, Shared};

/// Outputs up to which the last layer is computed by dot products instead of panels.
pub(super) const NARROW: usize = 4;

/// A linear layer: its weight `[outputs, inputs]` lies at `offset` in the flat parameters, its bias `[outputs]` follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Linear {
    pub inputs: usize,
    pub outputs: usize,
    pub offset: usize,
}

impl Linear {
    /// First index of the bias.
    pub fn bias(&self) -> usize {
        self.offset + self.inputs * self.outputs
    }

    /// First index after the layer's parameters.
    pub fn end(&self) -> usize {
        self.bias() + self.outputs
    }
}

/// The linear layers of a network (or of an ensemble of equal ones) with its parameters.
#[derive(Clone, Copy)]
pub(crate) struct Net<'a> {
    pub linears: &'a [Linear],
    pub activation: Activation,
    pub members: usize,
    pub params: &'a [f32],
}

impl<'a> Net<'a> {
    /// Number of linear layers.
    pub fn layers(&self) -> usize {
        self.linears.len()
    }

    /// Number of parameters of one member.
    pub fn stride(&self) -> usize {
        self.params.len() / self.members
    }

    /// Width of the input.
    pub fn input_dim(&self) -> usize {
        self.linears[0].inputs
    }

    /// Width of the output.
    pub fn output_dim(&self) -> usize {
        self.linears[self.linears.len() - 1].outputs
    }

    /// Largest input or output width of a layer.
    pub fn widest(&self) -> usize {
        let widths = self.linears.iter().map(|l| l.inputs.max(l.outputs));
        widths.max().unwrap_or(0)
    }

    /// Buffers `[members, rows, leading_dim]` of the outputs of all layers but the last.
    pub fn hidden_buffers(&self, rows: usize) -> Vec<Scratch> {
        let hidden = &self.linears[..self.linears.len() - 1];
        let take = |l: &Linear| Scratch::take(self.members * rows * leading_dim(l.outputs));
        hidden.iter().map(take).collect()
    }

    /// Input and output width of a layer.
    pub fn widths(&self, layer: usize) -> (usize, usize) {
        (self.linears[layer].inputs, self.linears[layer].outputs)
    }

    /// The parameters of one member.
    pub fn member(&self, member: usize) -> &'a [f32] {
        &self.params[member * self.stride()..][..self.stride()]
    }

    /// Weight `[out, in]` of a layer.
    pub fn weight(&self, member: usize, layer: usize) -> &'a [f32] {
        let linear = &self.linears[layer];
        &self.member(member)[linear.offset..linear.bias()]
    }

    /// Bias `[out]` of a layer.
    pub fn bias(&self, member: usize, layer: usize) -> &'a [f32] {
        let linear = &self.linears[layer];
        &self.member(member)[linear.bias()..linear.end()]
    }

    /// Whether a layer is the last one and its forward product a handful of dot products.
    pub fn is_narrow(&self, layer: usize) -> bool {
        layer + 1 == self.layers() && self.widths(layer).1 <= NARROW
    }
}

/// How the weights of a [`Packed`] are laid out.
#[derive(Clone, Copy, PartialEq)]
pub(crate) enum Form {
    /// `W^T` in f32: the forward product.
    Forward,
    /// `W^T` in pairs of bf16.
    ForwardBf16,
    /// `W` in f32: the backward product.
    Backward,
}

impl Form {
    /// The forward form of a precision.
    pub fn forward(precision: Precision) -> Self {
        match precision {
            Precision::F32 => Self::Forward,
            Precision::Bf16 => Self::ForwardBf16,
        }
    }

    /// `k` and `n` of a layer's right operand; bf16 counts pairs along `k`.
    pub fn shape(self, net: &Net, layer: usize) -> (usize, usize) {
        let (inputs, outputs) = net.widths(layer);
        match self {
            Self::Forward => (inputs, outputs),
            Self::ForwardBf16 => (inputs.div_ceil(2), outputs),
            Self::Backward => (outputs, inputs),
        }
    }
}

/// The weights of layers `first..` of all members, in panels.
pub(crate) struct Packed {
    form: Form,
    words: Scratch,
    starts: Vec<usize>,
    first: usize,
    layers: usize,
}

impl Packed {
    /// Packs layers `first..last` of every member; narrow layers of the forward forms are left out.
    pub fn new(net: &Net, form: Form, first: usize, last: usize) -> Self {
        dispatch(Pack {
            net,
            form,
            first,
            last,
        })
    }

    /// How the weights are laid out.
    pub fn form(&self) -> Form {
        self.form
    }

    /// The panels of a layer.
    pub fn panels(&self, member: usize, layer: usize) -> *const f32 {
        self.words[self.starts[member * self.layers + layer - self.first]..].as_ptr()
    }
}

struct Pack<'a> {
    net: &'a Net<'a>,
    form: Form,
    first: usize,
    last: usize,
}

impl Pack<'_> {
    /// `k` and `n` of a layer's right operand; nothing for a narrow forward layer.
    fn shape(&self, layer: usize) -> (usize, usize) {
        if self.form != Form::Backward && self.net.is_narrow(layer) {
            return (0, 0);
        }
        self.form.shape(self.net, layer)
    }
}

impl Kernel for Pack<'_> {
    type Out = Packed;

    #[inline(always)]
    fn run<S: Simd>(self, _simd: S) -> Packed {
        let layers = self.last - self.first;
        let count = self.net.members * layers;
        let mut starts = Vec::with_capacity(count + 1);
        let mut len = 0;
        for index in 0..count {
            starts.push(len);
            let (k, n) = self.shape(self.first + index % layers);
            len += PackedPanels::len::<S>(k, n).next_multiple_of(16);
        }
        let mut words = Scratch::take(len.max(1));
        let shared = Shared::new(&mut words);
        starts.push(len);
        threads::for_each(count, |index| {
            dispatch(PackLayer {
                pack: &self,
                index,
                layers,
                shared,
                starts: &starts,
            })
        });
        Packed {
            form: self.form,
            words,
            starts,
            first: self.first,
            layers,
        }
    }
}

struct PackLayer<'a> {
    pack: &'a Pack<'a>,
    index: usize,
    layers: usize,
    shared: Shared,
    starts: &'a [usize],
}

impl Kernel for PackLayer<'_> {
    type Out = ();

    #[inline(always)]
    #[allow(unsafe_code)] // every task owns the range of its layer
    fn run<S: Simd>(self, s: S) {
        let (member, layer) = (
            self.index / self.layers,
            self.pack.first + self.index % self.layers,
        );
        let (start, end) = (self.starts[self.index], self.starts[self.index + 1]);
        if start == end {
            return;
        }
        // SAFETY: ranges of different tasks do not overlap and lie inside the buffer.
        let out = unsafe { std::slice::from_raw_parts_mut(self.shared.at(start), end - start) };
        let weight = self.pack.net.weight(member, layer);
        let (inputs, outputs) = self.pack.net.widths(layer);
        match self.pack.form {
            Form::Forward => pack_transposed(s, weight, inputs, inputs, outputs, out),
            Form::ForwardBf16 => pack_bf16::<S>(weight, inputs, outputs, out),
            Form::Backward => pack_plain::<S>(weight, inputs, outputs, inputs, out),
        }
    }
}

/// Rows per block: about 192, in whole register tiles, evenly spread.
pub(crate) fn block_rows(rows: usize) -> usize {
    let blocks = rows.div_ceil(192).max(1);
    rows.div_ceil(blocks).next_multiple_of(12).max(12)
}
