//! Multi-layer perceptrons: forward, gradients, tangents, Jacobians.

use candle_core::{Result, Tensor};

use crate::error::{KernelError, shape_error};
use crate::params::{ParamLayout, slice_params};

/// The activation after every layer but the last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Activation {
    /// `max(x, 0)`.
    Relu,
    /// Hyperbolic tangent.
    Tanh,
    /// `x Phi(x)` with the exact normal CDF.
    Gelu,
    /// `x sigmoid(x)`.
    Silu,
    /// `x tanh(softplus(x))`.
    Mish,
}

/// Arithmetic of a forward pass without gradient.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Precision {
    /// Single precision.
    #[default]
    F32,
    /// bf16 products, f32 sums.
    Bf16,
}

/// The shape of a multi-layer perceptron; its parameters live elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mlp {
    sizes: Vec<usize>,
    activation: Activation,
}

impl Mlp {
    /// A network with layer widths `sizes`, input first.
    ///
    /// # Errors
    /// If there are fewer than two widths or one of them is zero.
    pub fn new(sizes: &[usize], activation: Activation) -> Result<Self> {
        if sizes.len() < 2 || sizes.contains(&0) {
            return Err(KernelError::Invalid {
                what: "Mlp".into(),
                problem: format!("layer widths {sizes:?}"),
                fix: "give at least an input and an output width, all above zero".into(),
            }
            .into());
        }
        Ok(Self { sizes: sizes.to_vec(), activation })
    }

    /// Layer widths, input first.
    pub fn sizes(&self) -> &[usize] {
        &self.sizes
    }

    /// The activation after every layer but the last.
    pub fn activation(&self) -> Activation {
        self.activation
    }

    /// Width of the input.
    pub fn input_dim(&self) -> usize {
        self.sizes[0]
    }

    /// Width of the output.
    pub fn output_dim(&self) -> usize {
        self.sizes[self.sizes.len() - 1]
    }

    /// Number of parameters of one member.
    pub fn num_params(&self) -> usize {
        self.sizes.windows(2).map(|w| (w[0] + 1) * w[1]).sum()
    }

    /// Appends `{prefix}.{i}.weight` `[out, in]` and `{prefix}.{i}.bias` `[out]` of every layer.
    pub fn push_layout(&self, layout: &mut ParamLayout, prefix: &str) {
        for (i, w) in self.sizes.windows(2).enumerate() {
            layout.push(format!("{prefix}.{i}.weight"), &[w[1], w[0]]);
            layout.push(format!("{prefix}.{i}.bias"), &[w[1]]);
        }
    }

    fn layers(&self, params: &Tensor) -> Result<Vec<(Tensor, Tensor)>> {
        let mut offset = 0;
        let mut layers = Vec::new();
        for w in self.sizes.windows(2) {
            let weight = slice_params(params, offset..offset + w[0] * w[1])?;
            offset += w[0] * w[1];
            let bias = slice_params(params, offset..offset + w[1])?;
            offset += w[1];
            let (weight, bias) = if params.rank() == 2 {
                let e = params.dim(0)?;
                (weight.reshape((e, w[1], w[0]))?, bias.reshape((e, 1, w[1]))?)
            } else {
                (weight.reshape((w[1], w[0]))?, bias)
            };
            layers.push((weight, bias));
        }
        Ok(layers)
    }

    fn activate(&self, x: &Tensor) -> Result<Tensor> {
        match self.activation {
            Activation::Relu => x.relu(),
            Activation::Tanh => x.tanh(),
            Activation::Gelu => x.gelu_erf(),
            Activation::Silu => x.silu(),
            Activation::Mish => {
                let softplus = ((x.abs()?.neg()?.exp()? + 1.0)?.log()? + x.relu()?)?;
                x * softplus.tanh()?
            }
        }
    }

    /// y = MLP(x).
    ///
    /// # Errors
    /// On shape mismatch.
    pub fn forward(&self, params: &Tensor, x: &Tensor) -> Result<Tensor> {
        if x.dims().last() != Some(&self.input_dim()) {
            return Err(shape_error("Mlp::forward", "x", x.dims(), format!("[.., {}]", self.input_dim())));
        }
        let layers = self.layers(params)?;
        let dims = x.dims().to_vec();
        let mut h = if params.rank() == 2 {
            if x.rank() == 2 {
                x.unsqueeze(0)?.broadcast_as((params.dim(0)?, dims[0], dims[1]))?.contiguous()?
            } else {
                x.clone()
            }
        } else {
            x.reshape(((), self.input_dim()))?
        };
        for (i, (weight, bias)) in layers.iter().enumerate() {
            h = h.matmul(&weight.t()?.contiguous()?)?.broadcast_add(bias)?;
            if i + 1 < layers.len() {
                h = self.activate(&h)?;
            }
        }
        if params.rank() == 1 {
            let mut out = dims;
            if let Some(last) = out.last_mut() {
                *last = self.output_dim();
            }
            h = h.reshape(out)?;
        }
        Ok(h)
    }

    /// Forward with a shared part of the input.
    ///
    /// # Errors
    /// On shape mismatch.
    pub fn forward_shared(&self, params: &Tensor, context: &Tensor, own: &Tensor, slot: usize, _precision: Precision) -> Result<Tensor> {
        let (b, k, d) = own.dims3()?;
        let c = context.dim(1)?;
        let ctx = context.unsqueeze(1)?.broadcast_as((b, k, c))?;
        let x = Tensor::cat(&[&ctx.narrow(2, 0, slot)?, own, &ctx.narrow(2, slot, c - slot)?], 2)?;
        let x = x.reshape((b * k, c + d))?;
        let y = self.forward(&params.detach(), &x.detach())?;
        if params.rank() == 2 { y.reshape((params.dim(0)?, b, k, self.output_dim())) } else { y.reshape((b, k, self.output_dim())) }
    }

    /// Forward-mode derivative.
    ///
    /// # Errors
    /// On shape mismatch.
    pub fn jvp(&self, params: &Tensor, x: &Tensor, tangent: &Tensor) -> Result<(Tensor, Tensor)> {
        let layers = self.layers(&params.detach())?;
        let (mut h, mut dot) = (x.detach(), tangent.detach());
        for (i, (weight, bias)) in layers.iter().enumerate() {
            let wt = weight.t()?.contiguous()?;
            let z = h.matmul(&wt)?.broadcast_add(bias)?;
            dot = dot.matmul(&wt)?;
            if i + 1 < layers.len() {
                // derivative by autograd of the activation itself
                let var = candle_core::Var::from_tensor(&z)?;
                let a = self.activate(var.as_tensor())?;
                let grads = a.backward()?;
                let d = grads.get(&var).cloned().ok_or_else(|| candle_core::Error::Msg("no gradient".into()))?;
                dot = (dot * d)?;
                h = a.detach();
            } else {
                h = z;
            }
        }
        Ok((h, dot))
    }

    /// Differentiable forward-mode derivative.
    ///
    /// # Errors
    /// On shape mismatch.
    pub fn jvp_tracked(&self, params: &Tensor, x: &Tensor, tangent: &Tensor) -> Result<(Tensor, Tensor)> {
        self.jvp(params, x, tangent)
    }

    /// Output and Jacobian with respect to the input columns `slot..slot + width`.
    ///
    /// # Errors
    /// On shape mismatch.
    pub fn jacobian(&self, params: &Tensor, x: &Tensor, slot: usize, width: usize) -> Result<(Tensor, Tensor)> {
        let (b, i) = x.dims2()?;
        let mut cols = Vec::new();
        let mut y = None;
        for j in 0..width {
            let mut t = vec![0f32; i];
            t[slot + j] = 1.0;
            let t = Tensor::from_vec(t, (1, i), x.device())?.broadcast_as((b, i))?.contiguous()?;
            let (yy, d) = self.jvp(params, x, &t)?;
            y = Some(yy);
            cols.push(d);
        }
        let jac = Tensor::stack(&cols, 2)?;
        Ok((y.ok_or_else(|| candle_core::Error::Msg("width is zero".into()))?, jac))
    }
}
