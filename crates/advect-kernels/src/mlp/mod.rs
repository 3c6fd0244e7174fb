//! Multi-layer perceptrons: forward, gradients, tangents, Jacobians, candidates.
//!
//! A network is a shape ([`Mlp`]); its parameters are a flat tensor `[P]`, or `[E, P]` for an ensemble, laid out by
//! [`Mlp::push_layout`]. Work is cut into blocks of rows that pass through the whole network while they are in cache;
//! the results have the same bits for any number of threads.

mod backward;
mod forward;
mod layer;
mod net;
mod ops;
mod shared;
mod tangent;
mod tracked_tangent;

#[cfg(test)]
mod tests;

use std::sync::Mutex;

use candle_core::{Result, Tensor};

use crate::error::{KernelError, shape_error};
use crate::params::ParamLayout;
use ops::{ForwardOp, JacobianOp, JvpOp, SharedOp, TrackedJvpOp};

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
        Ok(Self {
            sizes: sizes.to_vec(),
            activation,
        })
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

    /// `y = MLP(x)`, differentiable in parameters and input.
    ///
    /// # Shapes
    /// `params [P]`: `x [.., in] -> [.., out]`. `params [E, P]`: `x [rows, in]` (the same for all members) or
    /// `[E, rows, in]`, result `[E, rows, out]`.
    ///
    /// # Errors
    /// If a shape does not fit.
    pub fn forward(&self, params: &Tensor, x: &Tensor) -> Result<Tensor> {
        const OP: &str = "Mlp::forward";
        self.check_params(OP, params)?;
        self.check_last(OP, "x", x, self.input_dim())?;
        let mut out_dims = x.dims().to_vec();
        let x = match params.rank() {
            1 => x.reshape(((), self.input_dim()))?,
            _ if x.rank() == 2 || (x.rank() == 3 && x.dims()[0] == params.dims()[0]) => x.clone(),
            _ => {
                let expected = format!(
                    "[rows, {0}] or [{1}, rows, {0}]",
                    self.input_dim(),
                    params.dims()[0]
                );
                return Err(shape_error(OP, "x", x.dims(), expected));
            }
        };
        let keep = params.track_op() || x.track_op();
        let op = ForwardOp {
            mlp: self.clone(),
            keep,
            saved: Mutex::new(None),
        };
        let (params, x) = (params.contiguous()?, x.contiguous()?);
        if !keep {
            let y = params.apply_op2_no_bwd(&x, &op)?;
            return self.restore(&params, y, &mut out_dims);
        }
        let y = params.apply_op2(&x, op)?;
        self.restore(&params, y, &mut out_dims)
    }

    /// Puts the leading dimensions of the input back.
    fn restore(&self, params: &Tensor, y: Tensor, dims: &mut [usize]) -> Result<Tensor> {
        if params.rank() == 2 {
            return Ok(y);
        }
        if let Some(last) = dims.last_mut() {
            *last = self.output_dim();
        }
        y.reshape(&*dims)
    }

    /// `K` candidates per state without gradient: the state's share of the first layer is computed once.
    ///
    /// Candidate `k` of state `b` has the input `context[b]` with `own[b, k]` inserted before column `slot`.
    ///
    /// # Shapes
    /// `context [B, in - d]`, `own [B, K, d]`; result `[B, K, out]`, with `params [E, P]` `[E, B, K, out]`.
    ///
    /// # Errors
    /// If a shape does not fit.
    pub fn forward_shared(
        &self,
        params: &Tensor,
        context: &Tensor,
        own: &Tensor,
        slot: usize,
        precision: Precision,
    ) -> Result<Tensor> {
        const OP: &str = "Mlp::forward_shared";
        self.check_params(OP, params)?;
        let &[states, _, width] = own.dims() else {
            return Err(shape_error(OP, "own", own.dims(), "[B, K, d]"));
        };
        let shared = self.input_dim().saturating_sub(width);
        if context.dims() != [states, shared] || slot > shared || width > self.input_dim() {
            let expected = format!("[{states}, {shared}] with slot <= {shared}, slot is {slot}");
            return Err(shape_error(OP, "context", context.dims(), expected));
        }
        let op = SharedOp {
            mlp: self,
            slot,
            precision,
        };
        let (context, own) = (context.detach().contiguous()?, own.detach().contiguous()?);
        params
            .detach()
            .contiguous()?
            .apply_op3_no_bwd(&context, &own, &op)
    }

    /// `(y, y_dot)`, `y_dot[b] = (dy/dx)[b] tangent[b]`, in one forward pass without gradient.
    ///
    /// # Shapes
    /// `params [P]`, `x` and `tangent [B, in]`, results `[B, out]`.
    ///
    /// # Errors
    /// If a shape does not fit.
    pub fn jvp(&self, params: &Tensor, x: &Tensor, tangent: &Tensor) -> Result<(Tensor, Tensor)> {
        self.check_tangent("Mlp::jvp", params, x, tangent)?;
        let (x, tangent) = (x.detach().contiguous()?, tangent.detach().contiguous()?);
        let both =
            params
                .detach()
                .contiguous()?
                .apply_op3_no_bwd(&x, &tangent, &JvpOp { mlp: self })?;
        Ok((both.get(0)?, both.get(1)?))
    }

    /// As [`Mlp::jvp`], differentiable in parameters, input and tangent: the gradient of a divergence needs it.
    ///
    /// # Errors
    /// If a shape does not fit.
    pub fn jvp_tracked(
        &self,
        params: &Tensor,
        x: &Tensor,
        tangent: &Tensor,
    ) -> Result<(Tensor, Tensor)> {
        self.check_tangent("Mlp::jvp_tracked", params, x, tangent)?;
        let both = Tensor::stack(&[x, tangent], 0)?.contiguous()?;
        let op = TrackedJvpOp {
            mlp: self.clone(),
            saved: Mutex::new(None),
        };
        let both = params.contiguous()?.apply_op2(&both, op)?;
        Ok((both.get(0)?, both.get(1)?))
    }

    /// The output and its Jacobian `J[b, i, j] = dy[b, i] / dx[b, slot + j]`, without gradient.
    ///
    /// # Shapes
    /// `params [P]`, `x [B, in]`; results `[B, out]` and `[B, out, width]`.
    ///
    /// # Errors
    /// If a shape does not fit.
    pub fn jacobian(
        &self,
        params: &Tensor,
        x: &Tensor,
        slot: usize,
        width: usize,
    ) -> Result<(Tensor, Tensor)> {
        const OP: &str = "Mlp::jacobian";
        self.check_tangent(OP, params, x, x)?;
        if width == 0 || slot + width > self.input_dim() {
            let expected = format!("input columns that hold {slot}..{}", slot + width);
            return Err(shape_error(OP, "x", x.dims(), expected));
        }
        let (rows, outputs) = (x.dim(0)?, self.output_dim());
        let op = JacobianOp {
            mlp: self,
            slot,
            width,
        };
        let flat = params
            .detach()
            .contiguous()?
            .apply_op2_no_bwd(&x.detach().contiguous()?, &op)?;
        let y = flat
            .narrow(0, 0, rows * outputs)?
            .reshape((rows, outputs))?;
        let columns = flat
            .narrow(0, rows * outputs, rows * width * outputs)?
            .reshape((rows, width, outputs))?;
        Ok((y, columns.transpose(1, 2)?.contiguous()?))
    }

    fn check_params(&self, op: &'static str, params: &Tensor) -> Result<()> {
        self.check_last(op, "params", params, self.num_params())?;
        if params.rank() > 2 {
            return Err(shape_error(op, "params", params.dims(), "[P] or [E, P]"));
        }
        Ok(())
    }

    fn check_last(
        &self,
        op: &'static str,
        name: &'static str,
        tensor: &Tensor,
        width: usize,
    ) -> Result<()> {
        if tensor.dims().last() == Some(&width) && tensor.dtype() == candle_core::DType::F32 {
            return Ok(());
        }
        let expected = format!("f32 [.., {width}] (dtype here: {:?})", tensor.dtype());
        Err(shape_error(op, name, tensor.dims(), expected))
    }

    fn check_tangent(
        &self,
        op: &'static str,
        params: &Tensor,
        x: &Tensor,
        tangent: &Tensor,
    ) -> Result<()> {
        self.check_params(op, params)?;
        if params.rank() != 1 {
            return Err(shape_error(
                op,
                "params",
                params.dims(),
                "[P]: tangents are for single networks",
            ));
        }
        self.check_last(op, "x", x, self.input_dim())?;
        if x.rank() != 2 || tangent.dims() != x.dims() {
            let expected = format!(
                "the shape of x, [B, {}]; x is {:?}",
                self.input_dim(),
                x.dims()
            );
            return Err(shape_error(op, "tangent", tangent.dims(), expected));
        }
        Ok(())
    }
}
