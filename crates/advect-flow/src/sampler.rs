//! Generation: from noise to data along a (mean-)velocity field.

use advect_kernels::ode::{self, Solver};
use candle_core::{Result, Tensor};

use crate::field::{Field, Grid, Span};

/// `x <- x + (to - from) f(x; from, to)` over the steps of `grid`; any shape that the field takes.
///
/// Euler for an instantaneous velocity; for an average velocity the MeanFlow step
/// `z_r = z_t - (t - r) u(z_t, r, t)`, with its factor `t - r`.
///
/// # Errors
/// On a shape mismatch.
pub fn integrate(field: &impl Field, x0: &Tensor, grid: Grid) -> Result<Tensor> {
    let field = field.at_spans(grid.spans().collect())?;
    (0..grid.n_steps).try_fold(x0.clone(), |x, k| field.step(&x, k))
}

/// As [`integrate`], and keeps all points `x_0 ..= x_N`.
///
/// # Errors
/// On a shape mismatch.
pub fn trajectory(field: &impl Field, x0: &Tensor, grid: Grid) -> Result<Vec<Tensor>> {
    let field = field.at_spans(grid.spans().collect())?;
    let mut points = vec![x0.clone()];
    for k in 0..grid.n_steps {
        points.push(field.step(&points[k], k)?);
    }
    Ok(points)
}

/// Integrates an instantaneous velocity with any fixed-step solver; any shape that the field takes.
///
/// Not for average velocities, which are steps already: see [`integrate`].
///
/// # Errors
/// On a shape mismatch, or if the grid has no step.
pub fn solve(field: &impl Field, x0: &Tensor, grid: Grid, solver: Solver) -> Result<Tensor> {
    let velocity = |x: &Tensor, t: f64| field.value(x, Span { from: t, to: t });
    ode::integrate(
        solver,
        x0,
        ode::Span::new(grid.from, grid.to),
        grid.n_steps,
        velocity,
    )
}
