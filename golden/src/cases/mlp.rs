//! `mlp.*`: forward pass, gradients, tangents and Jacobians of the multi-layer perceptron.

use advect_kernels::{Mlp, ParamLayout, Params};
use candle_core::{Tensor, Var};

use crate::case::Case;
use crate::error::GoldenError;
use crate::outputs::{Gradients, Outputs};
use crate::registry::CaseFn;

type Result<T> = std::result::Result<T, GoldenError>;

/// The cases of this file.
pub const CASES: &[(&str, CaseFn)] = &[
    ("mlp.forward", forward),
    ("mlp.grad", grad),
    ("mlp.jvp", jvp),
    ("mlp.trace", trace),
    ("mlp.trace_grad", trace_grad),
];

struct Net {
    mlp: Mlp,
    layout: ParamLayout,
    params: Params,
}

fn net(case: &Case) -> Result<Net> {
    let mlp = Mlp::new(&case.config::<Vec<usize>>("sizes")?, case.activation()?)?;
    let mut layout = ParamLayout::new();
    mlp.push_layout(&mut layout, "net");
    let params = case.params("net", &layout)?;
    Ok(Net {
        mlp,
        layout,
        params,
    })
}

impl Net {
    /// ∂s/∂parameters in `grad_order`.
    fn gradient(&self, case: &Case, s: &Tensor) -> Result<Tensor> {
        let store = s.backward()?;
        let missing = || GoldenError::NoGradient("net".into());
        let gradient = store.get(self.params.var()).ok_or_else(missing)?;
        case.flat_gradient(&Gradients::new().with("net", &self.layout, gradient)?)
    }
}

fn forward(case: &Case) -> Result<Outputs> {
    let Net { mlp, params, .. } = net(case)?;
    Ok(Outputs::new().with("y", mlp.forward(params.tensor(), &case.input("x")?)?))
}

fn grad(case: &Case) -> Result<Outputs> {
    let net = net(case)?;
    let x = Var::from_tensor(&case.input("x")?)?;
    let y = net.mlp.forward(net.params.tensor(), &x)?;
    let s = (y * case.input("cotangent")?)?.sum_all()?;
    let grad_x = s
        .backward()?
        .remove(&x)
        .ok_or_else(|| GoldenError::NoGradient("x".into()))?;
    Ok(Outputs::new()
        .with("grad", net.gradient(case, &s)?)
        .with("grad_x", grad_x))
}

fn jvp(case: &Case) -> Result<Outputs> {
    let Net { mlp, params, .. } = net(case)?;
    let (y, y_dot) = mlp.jvp(params.tensor(), &case.input("x")?, &case.input("tangent")?)?;
    Ok(Outputs::new().with("y", y).with("jvp", y_dot))
}

fn trace(case: &Case) -> Result<Outputs> {
    let Net { mlp, params, .. } = net(case)?;
    let (x, slot) = (case.input("x")?, Slot::of(case)?);
    let (_, jacobian) = mlp.jacobian(params.tensor(), &x, slot.start, slot.len)?;
    let probes = case.input("probe")?;
    let mut estimates = Vec::new();
    for r in 0..probes.dim(0)? {
        let probe = probes.get(r)?;
        let (_, y_dot) = mlp.jvp(params.tensor(), &x, &slot.tangent(&x, &probe)?)?;
        estimates.push((probe * y_dot)?.sum(1)?);
    }
    let hutchinson = Tensor::stack(&estimates, 0)?;
    Ok(Outputs::new()
        .with("trace", diagonal_sum(&jacobian)?)
        .with("jacobian", jacobian)
        .with("hutchinson_mean", hutchinson.mean(0)?)
        .with("hutchinson", hutchinson))
}

fn trace_grad(case: &Case) -> Result<Outputs> {
    let net = net(case)?;
    let (x, slot) = (case.input("x")?, Slot::of(case)?);
    let weight = case.input("weight")?.unsqueeze(1)?;
    let weighted = |probe: &Tensor| -> Result<Tensor> {
        let tangent = slot.tangent(&x, probe)?;
        let (_, y_dot) = net.mlp.jvp_tracked(net.params.tensor(), &x, &tangent)?;
        Ok((probe * y_dot)?.broadcast_mul(&weight)?.sum_all()?)
    };
    let s_hutchinson = weighted(&case.input("probe")?)?;
    let mut s_trace = Tensor::zeros((), x.dtype(), x.device())?;
    for column in 0..slot.len {
        s_trace = (s_trace + weighted(&slot.unit(&x, column)?)?)?;
    }
    Ok(Outputs::new()
        .with("grad_hutchinson", net.gradient(case, &s_hutchinson)?)
        .with("grad_trace", net.gradient(case, &s_trace)?))
}

/// The columns of the input that a Jacobian is taken of.
struct Slot {
    start: usize,
    len: usize,
}

impl Slot {
    fn of(case: &Case) -> Result<Self> {
        Ok(Self {
            start: case.config("slot_start")?,
            len: case.config("slot_len")?,
        })
    }

    /// `probe` `[B, len]` at its place in a tangent of `x` `[B, I]` that is zero elsewhere.
    fn tangent(&self, x: &Tensor, probe: &Tensor) -> Result<Tensor> {
        let right = x.dim(1)?.saturating_sub(self.start + self.len);
        Ok(probe.pad_with_zeros(1, self.start, right)?.contiguous()?)
    }

    /// The unit vector of a column in every row, `[B, len]`.
    fn unit(&self, x: &Tensor, column: usize) -> Result<Tensor> {
        let one = Tensor::ones((x.dim(0)?, 1), x.dtype(), x.device())?;
        Ok(one
            .pad_with_zeros(1, column, self.len - column - 1)?
            .contiguous()?)
    }
}

/// The traces `[B]` of matrices `[B, d, d]`.
fn diagonal_sum(matrices: &Tensor) -> Result<Tensor> {
    let eye = Tensor::eye(matrices.dim(1)?, matrices.dtype(), matrices.device())?;
    Ok(matrices.broadcast_mul(&eye)?.sum((1, 2))?)
}
