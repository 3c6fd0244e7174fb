//! A transformer layer with LayerNorms before its parts (Xiong et al., arXiv 2002.04745).

use advect_kernels::{Activation, ParamLayout};
use candle_core::{D, Result, Tensor};

use super::parts::{Dense, Norm};

/// Width of the hidden layer behind the attention, in widths of a token.
const EXPANSION: usize = 4;

/// `h <- h + attention(LN(h))`, then `h <- h + MLP(LN(h))` with GELU.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Layer {
    norms: [Norm; 2],
    /// Queries, keys and values.
    qkv: Dense,
    out: Dense,
    mlp: Dense,
    heads: usize,
}

impl Layer {
    /// Parameters `{name}.norm{0,1}`, `{name}.qkv.0`, `{name}.out.0` and `{name}.mlp.{0,1}`.
    pub fn new(layout: &mut ParamLayout, name: &str, embed: usize, heads: usize) -> Result<Self> {
        let norms = [0, 1].map(|i| Norm::new(layout, &format!("{name}.norm{i}"), embed));
        let mut dense = |part: &str, sizes: &[usize]| {
            Dense::new(layout, &format!("{name}.{part}"), sizes, Activation::Gelu)
        };
        Ok(Self {
            norms,
            qkv: dense("qkv", &[embed, 3 * embed])?,
            out: dense("out", &[embed, embed])?,
            mlp: dense("mlp", &[embed, EXPANSION * embed, embed])?,
            heads,
        })
    }

    /// Tokens `[B, T, E]` to the same.
    pub fn forward(&self, params: &Tensor, h: &Tensor) -> Result<Tensor> {
        let [first, second] = &self.norms;
        let h = (h + self.attention(params, &first.forward(params, h)?)?)?;
        let inner = self.mlp.forward(params, &second.forward(params, &h)?)?;
        h + inner
    }

    /// `softmax(q k^T / sqrt(E / heads)) v` of every head.
    fn attention(&self, params: &Tensor, h: &Tensor) -> Result<Tensor> {
        let (rows, tokens, embed) = h.dims3()?;
        let width = embed / self.heads;
        let qkv = self.qkv.forward(params, h)?;
        let qkv = qkv.reshape((rows, tokens, 3, self.heads, width))?;
        // [3, B, heads, T, width]
        let qkv = qkv.permute((2, 0, 3, 1, 4))?.contiguous()?;
        let (q, k, v) = (qkv.get(0)?, qkv.get(1)?, qkv.get(2)?);
        let scores = (q.matmul(&k.t()?)? / (width as f64).sqrt())?;
        let mixed = softmax(&scores)?.matmul(&v)?;
        let joined = mixed.transpose(1, 2)?.reshape((rows, tokens, embed))?;
        self.out.forward(params, &joined)
    }
}

/// `exp(x) / sum exp(x)` over the last axis.
fn softmax(x: &Tensor) -> Result<Tensor> {
    let largest = x.detach().max_keepdim(D::Minus1)?;
    let odds = x.broadcast_sub(&largest)?.exp()?;
    odds.broadcast_div(&odds.sum_keepdim(D::Minus1)?)
}
