//! `ode.*`: fixed-step integration of a network's velocity field.

use advect_kernels::ode::{self, Solver, Span};
use advect_kernels::{Mlp, ParamLayout, Params};
use candle_core::Tensor;

use crate::case::Case;
use crate::error::GoldenError;
use crate::outputs::Outputs;
use crate::registry::CaseFn;

type Result<T> = std::result::Result<T, GoldenError>;

/// The cases of this file.
pub const CASES: &[(&str, CaseFn)] = &[
    ("ode.euler", |case| integrate(case, Solver::Euler)),
    ("ode.midpoint", |case| integrate(case, Solver::Midpoint)),
    ("ode.heun", |case| integrate(case, Solver::Heun)),
    ("ode.rk4", |case| integrate(case, Solver::Rk4)),
];

/// The velocity v(x, t, s) of the files: an MLP on concat(x, s, t).
struct Field {
    mlp: Mlp,
    params: Params,
    s: Tensor,
}

impl Field {
    fn of(case: &Case) -> Result<Self> {
        let mlp = case.mlp("net", case.activation()?)?;
        let mut layout = ParamLayout::new();
        mlp.push_layout(&mut layout, "net");
        Ok(Self {
            mlp,
            params: case.params("net", &layout)?,
            s: case.input("s")?,
        })
    }

    fn velocity(&self, x: &Tensor, t: f64) -> candle_core::Result<Tensor> {
        let t = Tensor::full(t as f32, (x.dim(0)?, 1), x.device())?;
        self.mlp
            .forward(&self.params.detached(), &Tensor::cat(&[x, &self.s, &t], 1)?)
    }
}

fn integrate(case: &Case, solver: Solver) -> Result<Outputs> {
    let field = Field::of(case)?;
    let span = Span::new(case.config("t0")?, case.config("t1")?);
    let (x0, steps) = (case.input("x0")?, case.config("n_steps")?);
    let velocity = |x: &Tensor, t: f64| field.velocity(x, t);
    let points = ode::trajectory(solver, &x0, span, steps, velocity)?;
    let x_end = ode::integrate(solver, &x0, span, steps, velocity)?;
    Ok(Outputs::new()
        .with("trajectory", Tensor::stack(&points, 0)?)
        .with("x_end", x_end))
}
