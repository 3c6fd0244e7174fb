//! Generation: from noise to data along a (mean-)velocity field.

use advect_kernels::Precision;
use advect_kernels::ode::{self, Solver};
use candle_core::{Result, Tensor};

use crate::field::{Candidates, Conditional, Field, Grid, Span};
use crate::network::{MeanVelocityNet, VelocityNet};

/// `x <- x + (to - from) f(x; from, to)` over the steps of `grid`; any shape that the field takes.
///
/// Euler for an instantaneous velocity; for an average velocity the MeanFlow step
/// `z_r = z_t - (t - r) u(z_t, r, t)`, with its factor `t - r`.
///
/// # Errors
/// On a shape mismatch.
pub fn integrate(field: &impl Field, x0: &Tensor, grid: Grid) -> Result<Tensor> {
    let step = |x: Tensor, span: Span| &x + (field.value(&x, span)? * span.length())?;
    grid.spans().try_fold(x0.clone(), step)
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

/// MeanFlow generation from `z_1` in `n_steps`, differentiable in `params` and `z_1`.
///
/// # Shapes
/// `params` `[P]`, `obs` `[B, o]`, `z_1` `[B, d]` to `[B, d]`.
///
/// # Errors
/// On a shape mismatch.
pub fn mean_flow(
    net: &MeanVelocityNet,
    params: &Tensor,
    obs: &Tensor,
    z_1: &Tensor,
    n_steps: usize,
) -> Result<Tensor> {
    integrate(
        &Conditional { net, params, obs },
        z_1,
        Grid::downwards(n_steps),
    )
}

/// MeanFlow generation of `P` candidates per state, without gradient.
///
/// # Shapes
/// `obs` `[B, o]`, `z_1` `[B, P, d]` to `[B, P, d]`.
///
/// # Errors
/// On a shape mismatch.
pub fn mean_flow_candidates(
    net: &MeanVelocityNet,
    params: &Tensor,
    obs: &Tensor,
    z_1: &Tensor,
    n_steps: usize,
    precision: Precision,
) -> Result<Tensor> {
    let field = Candidates {
        net,
        params,
        obs,
        precision,
    };
    integrate(&field, z_1, Grid::downwards(n_steps))
}

/// Rectified-flow generation by Euler steps from `z_0`, differentiable in `params` and `z_0`.
///
/// # Shapes
/// `params` `[P]`, `obs` `[B, o]`, `z_0` `[B, d]` to `[B, d]`.
///
/// # Errors
/// On a shape mismatch.
pub fn rectified_flow(
    net: &VelocityNet,
    params: &Tensor,
    obs: &Tensor,
    z_0: &Tensor,
    n_steps: usize,
) -> Result<Tensor> {
    integrate(
        &Conditional { net, params, obs },
        z_0,
        Grid::data_up(n_steps),
    )
}

/// Rectified-flow generation of `P` candidates per state by Euler steps, without gradient.
///
/// # Shapes
/// `obs` `[B, o]`, `z_0` `[B, P, d]` to `[B, P, d]`.
///
/// # Errors
/// On a shape mismatch.
pub fn rectified_flow_candidates(
    net: &VelocityNet,
    params: &Tensor,
    obs: &Tensor,
    z_0: &Tensor,
    n_steps: usize,
    precision: Precision,
) -> Result<Tensor> {
    let field = Candidates {
        net,
        params,
        obs,
        precision,
    };
    integrate(&field, z_0, Grid::data_up(n_steps))
}
