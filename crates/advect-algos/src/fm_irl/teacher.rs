//! What the teacher would do: joint samples of state and action (fm_irl.md section 1.5).

use advect_flow::sampler::integrate;
use advect_flow::{Candidates, Grid};
use advect_kernels::Precision;
use candle_core::{Result, Tensor};

use super::matching::Matching;
use crate::imitation::density::Label;
use crate::imitation::halves;

/// `x <- x + v(x, c = 1, i/S)/S` from `x_0`, without gradient: states `x[:, ..o]` in the student's normalised units, and actions, which are not clipped.
///
/// # Shapes
/// `x_0` `[n, d]` to `[n, obs_dim]` and `[n, d - obs_dim]`.
///
/// # Errors
/// On a shape mismatch.
pub fn generate(
    matching: &Matching<'_>,
    x_0: &Tensor,
    n_steps: usize,
    obs_dim: usize,
    precision: Precision,
) -> Result<(Tensor, Tensor)> {
    // all rows are particles of one "state", the label
    let field = Candidates {
        net: matching.net,
        params: matching.params,
        obs: &Label::Expert.rows(1, matching.label_dim, x_0)?,
        precision,
    };
    let x = integrate(&field, &x_0.unsqueeze(0)?, Grid::data_up(n_steps))?.squeeze(0)?;
    let act_dim = x.dim(1)?.saturating_sub(obs_dim);
    halves(&x, act_dim)
}
