//! Residual perceptrons with optional LayerNorm: forward, gradients, tangents, Jacobians, candidates.
//!
//! As an [`Mlp`](crate::Mlp), a [`ResidualMlp`] is a shape; its parameters are a flat tensor `[P]` laid out by
//! [`ResidualMlp::push_layout`], work is cut into blocks of rows that pass through the whole network while they are in
//! cache, and the results have the same bits for any number of threads.

mod backward;
mod forward;
mod fused;
mod norm;
mod norm_derivative;
mod program;
mod rows;
mod tangent;

#[cfg(test)]
mod tests;

use candle_core::{Result, Tensor};

use crate::dense::{self, Context, Net, Pullback, expect_last, expect_tangent};
use crate::error::{KernelError, shape_error};
use crate::mlp::{Activation, Precision};
use crate::params::ParamLayout;
use norm::{Affine, Stretch};
use program::Program;

/// What a residual block computes from its input `h`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum BlockForm {
    /// `h + fc2(act(ln2(fc1(act(ln1(h))))))` (He et al. 2016, arXiv 1603.05027).
    ///
    /// Parameters `in`, `block{j}.{ln1,fc1,ln2,fc2}`, `out`.
    PreActivation {
        /// Constant inside the LayerNorms' roots; without it `ln1` and `ln2` are the identity and have no parameters.
        ln_eps: Option<f32>,
    },
    /// `h + act(ln(fc(h)))`, and `act(in_ln(in(x)))` before the first block.
    ///
    /// Parameters `in`, `in_ln`, `block{j}.{fc,ln}`, `out`.
    PostActivation {
        /// Constant inside the LayerNorms' roots.
        ln_eps: f32,
    },
}

impl BlockForm {
    /// The constant inside the LayerNorms' roots, where there are any.
    pub fn ln_eps(self) -> Option<f32> {
        match self {
            Self::PreActivation { ln_eps } => ln_eps,
            Self::PostActivation { ln_eps } => Some(ln_eps),
        }
    }
}

/// Sizes and parts of a [`ResidualMlp`].
#[derive(Debug, Clone, PartialEq)]
pub struct ResidualConfig {
    /// Width of the input.
    pub inputs: usize,
    /// Width of the residual stream and of the layers in the blocks.
    pub hidden: usize,
    /// Width of the output.
    pub outputs: usize,
    /// Number of residual blocks.
    pub n_blocks: usize,
    /// Activation of the blocks.
    pub activation: Activation,
    /// What a block computes.
    pub form: BlockForm,
}

/// The shape of a residual perceptron `y = out(h)`, `h = in(x)` followed by blocks; its parameters live elsewhere.
#[derive(Debug, Clone, PartialEq)]
pub struct ResidualMlp {
    config: ResidualConfig,
    program: Program,
}

impl ResidualMlp {
    /// A network of the given sizes.
    ///
    /// # Errors
    /// If a width is zero, or the constant of the LayerNorms is not a positive number.
    pub fn new(config: &ResidualConfig) -> Result<Self> {
        let widths = [config.inputs, config.hidden, config.outputs];
        if widths.contains(&0) {
            let problem = format!("widths of input, hidden layers and output {widths:?}");
            return Err(invalid(problem, "give widths above zero"));
        }
        if let Some(eps) = config.form.ln_eps()
            && !(eps > 0.0 && eps.is_finite())
        {
            let problem = format!("LayerNorm constant {eps}");
            return Err(invalid(problem, "give a positive number, for example 1e-5"));
        }
        Ok(Self {
            config: config.clone(),
            program: Program::new(config),
        })
    }

    /// Sizes and parts.
    pub fn config(&self) -> &ResidualConfig {
        &self.config
    }

    /// Width of the input.
    pub fn input_dim(&self) -> usize {
        self.config.inputs
    }

    /// Width of the output.
    pub fn output_dim(&self) -> usize {
        self.config.outputs
    }

    /// Number of parameters.
    pub fn num_params(&self) -> usize {
        self.program.layout.len()
    }

    /// Appends the parameters in the order of the forward pass, `.weight` before `.bias`, names as [`BlockForm`] says:
    /// linear layers `[out, in]` and `[out]`, LayerNorms `[hidden]` each.
    pub fn push_layout(&self, layout: &mut ParamLayout, prefix: &str) {
        for entry in self.program.layout.entries() {
            layout.push(format!("{prefix}.{}", entry.name), &entry.shape);
        }
    }

    /// `y`, differentiable in parameters and input.
    ///
    /// # Shapes
    /// `params [P]`, `x [.., in] -> [.., out]`.
    ///
    /// # Errors
    /// If a shape does not fit.
    pub fn forward(&self, params: &Tensor, x: &Tensor) -> Result<Tensor> {
        const OP: &str = "ResidualMlp::forward";
        self.check_params(OP, params)?;
        expect_last(OP, "x", x, self.input_dim())?;
        let rows = x.reshape(((), self.input_dim()))?;
        let y = dense::forward(self, params, &rows)?;
        let mut dims = x.dims().to_vec();
        if let Some(last) = dims.last_mut() {
            *last = self.output_dim();
        }
        y.reshape(dims)
    }

    /// `y` and its gradients on demand, without candle's graph.
    ///
    /// # Shapes
    /// `params [P]`, `x [rows, in]`; result `[rows, out]`.
    ///
    /// # Errors
    /// If a shape does not fit.
    pub fn forward_with_pullback(&self, params: &Tensor, x: &Tensor) -> Result<(Tensor, Pullback)> {
        const OP: &str = "ResidualMlp::forward_with_pullback";
        self.check_params(OP, params)?;
        expect_last(OP, "x", x, self.input_dim())?;
        dense::forward_with_pullback(self, params, &x.reshape(((), self.input_dim()))?)
    }

    /// `y`, its derivative along the tangents, and gradients of `y` on demand.
    ///
    /// # Shapes
    /// `params [P]`, `both [2, rows, in]`, inputs and behind them their tangents, to `y` and `y_dot` `[rows, out]`.
    ///
    /// # Errors
    /// If a shape does not fit.
    pub fn forward_with_tangent(
        &self,
        params: &Tensor,
        both: &Tensor,
    ) -> Result<(Tensor, Tensor, Pullback)> {
        const OP: &str = "ResidualMlp::forward_with_tangent";
        self.check_params(OP, params)?;
        expect_last(OP, "both", both, self.input_dim())?;
        if both.rank() != 3 || both.dim(0)? != 2 {
            let expected = format!("[2, rows, {}]", self.input_dim());
            return Err(shape_error(OP, "both", both.dims(), expected));
        }
        dense::forward_with_tangent(self, params, both)
    }

    /// `K` candidates per state without gradient: the state's share of the first layer is computed once.
    ///
    /// Candidate `k` of state `b` has the input `context[b]` with `own[b, k]` between its two parts. In bf16 the
    /// products of the hidden layers round their operands; the first layer, LayerNorms and sums stay in single precision.
    ///
    /// # Shapes
    /// `params [P]`, `context` in all `[B, in - d]`, `own [B, K, d]`; result `[B, K, out]`.
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
        const OP: &str = "ResidualMlp::forward_shared";
        self.check_params(OP, params)?;
        dense::candidates(OP, self, params, (context, own), None, precision)
    }

    /// An Euler step of every candidate along the network, `own + h y`, with `y` of [`ResidualMlp::forward_shared`].
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
        const OP: &str = "ResidualMlp::step_shared";
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
        const OP: &str = "ResidualMlp::jvp";
        self.check_params(OP, params)?;
        expect_tangent(OP, x, tangent, self.input_dim())?;
        dense::jvp(self, params, x, tangent)
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
        const OP: &str = "ResidualMlp::jacobian";
        self.check_params(OP, params)?;
        expect_tangent(OP, x, x, self.input_dim())?;
        dense::jacobian(OP, self, params, x, slot, width)
    }

    fn check_params(&self, op: &'static str, params: &Tensor) -> Result<()> {
        expect_last(op, "params", params, self.num_params())?;
        if params.rank() == 1 {
            return Ok(());
        }
        let expected = format!("[{}]: one network, no ensemble", self.num_params());
        Err(shape_error(op, "params", params.dims(), expected))
    }

    /// The LayerNorms' gains and shifts.
    fn affine(&self, net: &Net) -> Vec<Affine> {
        let params = net.member(0);
        let affine = |&offset: &usize| Affine::new(&params[offset..], self.config.hidden);
        self.program.norms.iter().map(affine).collect()
    }

    /// An activation stage on `rows` rows.
    fn stretch<'a>(&self, affine: Option<&'a Affine>, rows: usize) -> Stretch<'a> {
        Stretch {
            affine,
            eps: self.config.form.ln_eps().unwrap_or_default(),
            activation: self.config.activation,
            rows,
            width: self.config.hidden,
        }
    }
}

fn invalid(problem: String, fix: &str) -> candle_core::Error {
    KernelError::Invalid {
        what: "ResidualMlp".into(),
        problem,
        fix: fix.into(),
    }
    .into()
}
