//! Multi-layer perceptrons: forward, gradients, tangents, Jacobians, candidates.
//!
//! A network is a shape ([`Mlp`]); its parameters are a flat tensor `[P]`, or `[E, P]` for an ensemble, laid out by
//! [`Mlp::push_layout`]. Work is cut into blocks of rows that pass through the whole network while they are in cache;
//! the results have the same bits for any number of threads.

mod backward;
mod forward;
mod fused;
mod shared;
mod tangent;
mod tracked_op;
mod tracked_tangent;

#[cfg(test)]
mod tests;

use std::sync::Mutex;

use candle_core::{Result, Tensor};

use crate::dense::{self, Context, Linear, Pullback, expect_last, expect_tangent};
use crate::error::{KernelError, shape_error};
use crate::params::ParamLayout;
use tracked_op::TrackedJvpOp;

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
    linears: Vec<Linear>,
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
            linears: linears(sizes),
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
        self.linears.last().map_or(0, Linear::end)
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
        let mut out_dims = x.dims().to_vec();
        let y = dense::forward(self, params, &self.rows("Mlp::forward", params, x)?)?;
        if params.rank() == 2 {
            return Ok(y);
        }
        if let Some(last) = out_dims.last_mut() {
            *last = self.output_dim();
        }
        y.reshape(out_dims)
    }

    /// `y` and its gradients on demand, without candle's graph.
    ///
    /// # Shapes
    /// `params [P]` and `x [rows, in]`, or an ensemble's as in [`Mlp::forward`].
    ///
    /// # Errors
    /// If a shape does not fit.
    pub fn forward_with_pullback(&self, params: &Tensor, x: &Tensor) -> Result<(Tensor, Pullback)> {
        let x = self.rows("Mlp::forward_with_pullback", params, x)?;
        dense::forward_with_pullback(self, params, &x)
    }

    /// `y`, its derivative along the tangents, and gradients of `y` on demand, from one pass over inputs and tangents.
    ///
    /// # Shapes
    /// `params [P]`: `both [2, rows, in]`, inputs and behind them their tangents, to `y` and `y_dot` `[rows, out]`. `params [E, P]`:
    /// `[2, E, rows, in]` to `[E, rows, out]`.
    ///
    /// # Errors
    /// If a shape does not fit.
    pub fn forward_with_tangent(
        &self,
        params: &Tensor,
        both: &Tensor,
    ) -> Result<(Tensor, Tensor, Pullback)> {
        const OP: &str = "Mlp::forward_with_tangent";
        self.check_params(OP, params)?;
        expect_last(OP, "both", both, self.input_dim())?;
        let fits = match (both.dims(), params.dims()) {
            ([2, _, _], [_]) => true,
            ([2, own, _, _], [members, _]) => own == members,
            _ => false,
        };
        if !fits {
            let members = &params.dims()[..params.rank() - 1];
            let expected = format!("[2, {members:?} rows, {}]", self.input_dim());
            return Err(shape_error(OP, "both", both.dims(), expected));
        }
        dense::forward_with_tangent(self, params, both)
    }

    /// `x` as rows, checked.
    fn rows(&self, op: &'static str, params: &Tensor, x: &Tensor) -> Result<Tensor> {
        self.check_params(op, params)?;
        expect_last(op, "x", x, self.input_dim())?;
        match params.rank() {
            1 => x.reshape(((), self.input_dim())),
            _ if x.rank() == 2 || (x.rank() == 3 && x.dims()[0] == params.dims()[0]) => {
                Ok(x.clone())
            }
            _ => {
                let expected = format!(
                    "[rows, {0}] or [{1}, rows, {0}]",
                    self.input_dim(),
                    params.dims()[0]
                );
                Err(shape_error(op, "x", x.dims(), expected))
            }
        }
    }

    /// `K` candidates per state without gradient: the state's share of the first layer is computed once.
    ///
    /// Candidate `k` of state `b` has the input `context[b]` with `own[b, k]` between its two parts.
    ///
    /// # Shapes
    /// `context` in all `[B, in - d]`, `own [B, K, d]`; result `[B, K, out]`, with `params [E, P]` `[E, B, K, out]`.
    ///
    /// # Errors
    /// If a shape does not fit.
    pub fn forward_shared(
        &self,
        params: &Tensor,
        context: Context<'_>,
        own: &Tensor,
        precision: Precision,
    ) -> Result<Tensor> {
        const OP: &str = "Mlp::forward_shared";
        self.check_params(OP, params)?;
        dense::candidates(OP, self, params, (context, own), None, precision)
    }

    /// An Euler step of every candidate along the network, `own + h y`, with `y` of [`Mlp::forward_shared`].
    ///
    /// # Shapes
    /// `params [P]`, `own [B, K, d]` as wide as the outputs; result `[B, K, d]`.
    ///
    /// # Errors
    /// If a shape does not fit.
    pub fn step_shared(
        &self,
        params: &Tensor,
        context: Context<'_>,
        own: &Tensor,
        h: f64,
        precision: Precision,
    ) -> Result<Tensor> {
        const OP: &str = "Mlp::step_shared";
        self.check_params(OP, params)?;
        dense::candidates(OP, self, params, (context, own), Some(h), precision)
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
        dense::jvp(self, params, x, tangent)
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
        dense::jacobian(OP, self, params, x, slot, width)
    }

    fn check_params(&self, op: &'static str, params: &Tensor) -> Result<()> {
        expect_last(op, "params", params, self.num_params())?;
        if params.rank() > 2 {
            return Err(shape_error(op, "params", params.dims(), "[P] or [E, P]"));
        }
        Ok(())
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
        expect_tangent(op, x, tangent, self.input_dim())
    }
}

/// The layers of widths `sizes`, one after the other in the flat parameters.
fn linears(sizes: &[usize]) -> Vec<Linear> {
    let mut offset = 0;
    let place = |w: &[usize]| {
        let linear = Linear {
            inputs: w[0],
            outputs: w[1],
            offset,
        };
        offset = linear.end();
        linear
    };
    sizes.windows(2).map(place).collect()
}
