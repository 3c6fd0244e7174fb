//! `ode.*`: fixed-step integration of a network's velocity field.

use advect_flow::{self as flow, Field};
use advect_kernels::ode::{self, Solver, Span};
use candle_core::Tensor;

use super::density::Net;
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

fn integrate(case: &Case, solver: Solver) -> Result<Outputs> {
    let net = Net::of(case)?;
    let span = Span::new(case.config("t0")?, case.config("t1")?);
    let (x0, steps) = (case.input("x0")?, case.config("n_steps")?);
    let velocity = |x: &Tensor, t: f64| net.value(x, flow::Span { from: t, to: t });
    let points = ode::trajectory(solver, &x0, span, steps, velocity)?;
    let x_end = ode::integrate(solver, &x0, span, steps, velocity)?;
    Ok(Outputs::new()
        .with("trajectory", Tensor::stack(&points, 0)?)
        .with("x_end", x_end))
}
