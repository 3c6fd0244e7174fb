//! A plain network over states and actions, of which most discriminators are made.

use advect_kernels::init::Init;
use advect_kernels::optim::AdamConfig;
use advect_kernels::{Activation, Mlp, ParamLayout, Params};
use advect_rl::{Learned, MeanMetrics, StateDict, StateError};
use advect_rng::Stream;
use candle_core::{D, Device, Result, Tensor, Var};

use crate::dims::Dims;
use crate::networks::drawn;

/// `f(s, a)`: a number per row `[s; a]`.
#[derive(Debug)]
pub struct Scorer {
    net: Mlp,
    params: Learned,
}

impl Scorer {
    /// A network with these hidden widths, tanh, drawn from `seed`'s stream `{family}/discriminator`.
    ///
    /// # Errors
    /// If a width is zero or the device fails.
    pub fn new(
        family: &str,
        hidden: &[usize],
        dims: Dims,
        adam: AdamConfig,
        seed: u64,
        device: &Device,
    ) -> Result<Self> {
        let sizes = [&[dims.obs + dims.act], hidden, &[1]].concat();
        let net = Mlp::new(&sizes, Activation::Tanh)?;
        let mut layout = ParamLayout::new();
        net.push_layout(&mut layout, "disc");
        let mut stream = Stream::new(seed, &format!("{family}/discriminator"));
        let params = drawn(layout, Init::FanInUniform, 1.0, &mut stream, device)?;
        Ok(Self {
            net,
            params: Learned::new(params, adam)?,
        })
    }

    /// Its parameters.
    pub fn params(&self) -> &Params {
        self.params.params()
    }

    /// `f` of the expert's rows and of the student's in one pass, differentiable in the parameters.
    ///
    /// # Shapes
    /// `[b, d]` each, to `[b]` each.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn scores(&self, expert: &Tensor, agent: &Tensor) -> Result<[Tensor; 2]> {
        let x = Tensor::cat(&[expert, agent], 0)?;
        let score = self.net.forward(self.params().tensor(), &x)?;
        let score = score.squeeze(D::Minus1)?;
        let (theirs, ours) = (expert.dim(0)?, agent.dim(0)?);
        Ok([score.narrow(0, 0, theirs)?, score.narrow(0, theirs, ours)?])
    }

    /// `f` without gradient.
    ///
    /// # Shapes
    /// `x` `[n, d]` to `[n]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn score(&self, x: &Tensor) -> Result<Tensor> {
        let params = self.params().detached();
        self.net.forward(&params, x)?.squeeze(D::Minus1)
    }

    /// `mean (|grad_x f(x)| - 1)^2` (Gulrajani et al., arXiv 1704.00028, eq. 3), differentiable in the parameters.
    ///
    /// The derivative of a norm is that along the vector's own direction, so a tangent pass along the constant `g / |g|` has the norm as
    /// its value and the norm's gradient as its gradient: no second backward pass is needed.
    ///
    /// # Shapes
    /// `x` `[n, d]` to a scalar.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn gradient_penalty(&self, x: &Tensor) -> Result<Tensor> {
        let x = Var::from_tensor(&x.detach().contiguous()?)?;
        let total = self.score(x.as_tensor())?.sum_all()?;
        let gradients = total.backward()?;
        let missing = || candle_core::Error::Msg("the score does not depend on its input".into());
        let gradient = gradients.get(&x).ok_or_else(missing)?;
        let norm = gradient.sqr()?.sum_keepdim(1)?.sqrt()?;
        // a gradient of zero has no direction; its penalty is 1 and cannot be reduced
        let direction = gradient.broadcast_div(&norm.maximum(f32::MIN_POSITIVE)?)?;
        let (_, slope) =
            self.net
                .jvp_tracked(self.params().tensor(), &x.detach(), &direction.detach())?;
        (slope.squeeze(D::Minus1)? - 1.0)?.sqr()?.mean_all()
    }

    /// One step of its optimiser, which is counted.
    ///
    /// # Errors
    /// If the loss does not depend on the parameters.
    pub fn descend(&mut self, loss: &Tensor, lr: f64, means: &mut MeanMetrics) -> Result<()> {
        let norm = self.params.descend(loss, lr)?;
        means.add_tensor("discriminator/grad_norm", &norm)?;
        Ok(())
    }

    /// Clamps every parameter to `[-bound, bound]` (Arjovsky et al., arXiv 1701.07875, algorithm 1).
    ///
    /// # Errors
    /// If the device fails.
    pub fn clamp(&self, bound: f64) -> Result<()> {
        let clamped = self.params().tensor().detach().clamp(-bound, bound)?;
        self.params().set_from_slice(&clamped.to_vec1::<f32>()?)
    }

    /// Writes parameters and optimiser.
    ///
    /// # Errors
    /// If the device cannot be read.
    pub fn save(&self, out: &mut StateDict) -> std::result::Result<(), StateError> {
        self.params.save("discriminator", out)
    }

    /// Continues from what [`Scorer::save`] wrote.
    ///
    /// # Errors
    /// If an entry is missing or has another shape.
    pub fn load(&mut self, from: &StateDict) -> std::result::Result<(), StateError> {
        self.params.load("discriminator", from)
    }
}
