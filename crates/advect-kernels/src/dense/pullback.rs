//! Gradients that an algorithm asks for itself, without candle's passes over zeros.

use std::sync::Mutex;

use candle_core::{Result, Tensor};

use super::forward_mode::pushforward;
use super::ops::{ForwardOp, Fused, Wanted};
use crate::error::shape_error;

type Gradients = (Option<Tensor>, Option<Tensor>);

/// A forward pass that can be differentiated, of whichever network.
trait Pass: Send + Sync {
    fn backward(&self, cotangent: &Tensor, wanted: Wanted) -> Result<Gradients>;

    fn pushforward(&self, x_dot: &Tensor) -> Result<Tensor>;
}

struct Forward<N: Fused> {
    op: ForwardOp<N>,
    params: Tensor,
    x: Tensor,
}

impl<N: Fused> Pass for Forward<N> {
    fn backward(&self, cotangent: &Tensor, wanted: Wanted) -> Result<Gradients> {
        self.op.backward(&self.params, &self.x, cotangent, wanted)
    }

    fn pushforward(&self, x_dot: &Tensor) -> Result<Tensor> {
        if x_dot.dims() != self.x.dims() {
            let expected = format!("the input's shape {:?}", self.x.dims());
            return Err(shape_error("Pullback", "x_dot", x_dot.dims(), expected));
        }
        pushforward(&self.op, &self.params, &self.x, &x_dot.detach())
    }
}

/// From a cotangent of a network's output to cotangents of its parameters and its input, and before that from a tangent of the input to one
/// of the output. What the forward pass kept serves the first cotangent and all tangents before it; later calls compute it again.
pub struct Pullback {
    output: Vec<usize>,
    pass: Box<dyn Pass>,
}

impl std::fmt::Debug for Pullback {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Pullback")
            .field("output", &self.output)
            .finish_non_exhaustive()
    }
}

/// `y` of contiguous parameters and rows, and its pullback.
///
/// # Errors
/// If the operation fails on the device.
pub(crate) fn forward_with_pullback<N: Fused>(
    network: &N,
    params: &Tensor,
    x: &Tensor,
) -> Result<(Tensor, Pullback)> {
    let op = ForwardOp {
        network: network.clone(),
        keep: true,
        saved: Mutex::new(None),
    };
    let (params, x) = (params.detach().contiguous()?, x.detach().contiguous()?);
    let y = params.apply_op2_no_bwd(&x, &op)?;
    let pullback = Pullback::of(op, params, x, &y);
    Ok((y, pullback))
}

impl Pullback {
    /// Of a pass that was made.
    pub(super) fn of<N: Fused>(op: ForwardOp<N>, params: Tensor, x: Tensor, y: &Tensor) -> Self {
        Self {
            output: y.dims().to_vec(),
            pass: Box::new(Forward { op, params, x }),
        }
    }

    /// The gradient of `sum(cotangent * y)` in the parameters, shaped as they are.
    ///
    /// # Errors
    /// If the cotangent has not as many values as the output.
    pub fn params(&self, cotangent: &Tensor) -> Result<Tensor> {
        let wanted = Wanted {
            params: true,
            x: false,
        };
        present(self.pull(cotangent, wanted)?.0)
    }

    /// The same in the input, summed over the members that share it.
    ///
    /// # Errors
    /// As [`Pullback::params`].
    pub fn input(&self, cotangent: &Tensor) -> Result<Tensor> {
        let wanted = Wanted {
            params: false,
            x: true,
        };
        present(self.pull(cotangent, wanted)?.1)
    }

    /// Both, parameters first.
    ///
    /// # Errors
    /// As [`Pullback::params`].
    pub fn both(&self, cotangent: &Tensor) -> Result<(Tensor, Tensor)> {
        let wanted = Wanted {
            params: true,
            x: true,
        };
        let (params, input) = self.pull(cotangent, wanted)?;
        Ok((present(params)?, present(input)?))
    }

    /// The derivative of the output along `x_dot`, without gradient: `dy/dx x_dot`.
    ///
    /// # Shapes
    /// `x_dot` as the input's rows, the result as the output.
    ///
    /// # Errors
    /// If the tangent has not the input's shape.
    pub fn pushforward(&self, x_dot: &Tensor) -> Result<Tensor> {
        self.pass.pushforward(x_dot)
    }

    fn pull(&self, cotangent: &Tensor, wanted: Wanted) -> Result<Gradients> {
        if cotangent.elem_count() != self.output.iter().product::<usize>() {
            let expected = format!("as many values as the output {:?}", self.output);
            return Err(shape_error(
                "Pullback",
                "cotangent",
                cotangent.dims(),
                expected,
            ));
        }
        let cotangent = cotangent.detach().reshape(self.output.as_slice())?;
        self.pass.backward(&cotangent, wanted)
    }
}

fn present(gradient: Option<Tensor>) -> Result<Tensor> {
    let problem = "a backward pass left out what was wanted";
    gradient.ok_or_else(|| candle_core::Error::Msg(problem.into()))
}
