//! `net.*`: residual networks.

use advect_kernels::{Activation, BlockForm, ParamLayout, ResidualConfig, ResidualMlp};
use candle_core::Var;

use super::critics::gradient;
use crate::case::Case;
use crate::error::GoldenError;
use crate::outputs::{Gradients, Outputs};
use crate::registry::CaseFn;

type Result<T> = std::result::Result<T, GoldenError>;

/// The cases of this file.
pub const CASES: &[(&str, CaseFn)] = &[
    ("net.residual", pre_activation),
    ("net.fm_velocity", post_activation),
];

fn pre_activation(case: &Case) -> Result<Outputs> {
    let layer_norm: bool = case.config("layernorm")?;
    let ln_eps = match layer_norm {
        true => Some(case.config("ln_eps")?),
        false => None,
    };
    passes(
        case,
        case.activation()?,
        BlockForm::PreActivation { ln_eps },
    )
}

fn post_activation(case: &Case) -> Result<Outputs> {
    let ln_eps = case.config("ln_eps")?;
    passes(case, Activation::Silu, BlockForm::PostActivation { ln_eps })
}

/// Value, tangent and gradients of the network of a file.
fn passes(case: &Case, activation: Activation, form: BlockForm) -> Result<Outputs> {
    let net = ResidualMlp::new(&ResidualConfig {
        inputs: case.shape("net.in.weight")?[1],
        hidden: case.config("hidden")?,
        outputs: case.shape("net.out.weight")?[0],
        n_blocks: case.config("n_blocks")?,
        activation,
        form,
    })?;
    let mut layout = ParamLayout::new();
    net.push_layout(&mut layout, "net");
    let params = case.params("net", &layout)?;
    let x = Var::from_tensor(&case.input("x")?)?;
    let y = net.forward(params.tensor(), &x)?;
    let s = (&y * case.input("cotangent")?)?.sum_all()?;
    let grad_x = s
        .backward()?
        .remove(&x)
        .ok_or_else(|| GoldenError::NoGradient("x".into()))?;
    let grad = Gradients::new().with("net", &layout, &gradient(&s, &params, "net")?)?;
    let (_, y_dot) = net.jvp(params.tensor(), &x, &case.input("tangent")?)?;
    Ok(Outputs::new()
        .with("y", y)
        .with("jvp", y_dot)
        .with("grad", case.flat_gradient(&grad)?)
        .with("grad_x", grad_x))
}
