//! Acting: the best of `P` generated candidates (flame.md section 6).

use advect_kernels::Precision;
use advect_rl::CriticNet;
use candle_core::{Result, Tensor};

use crate::candidates::{Ranked, rank};
use crate::generator::Generator;

/// Candidates, their scores and the choice.
#[derive(Debug, Clone)]
pub struct BestOf {
    /// Unclipped actions `[B, P, d]`.
    pub candidates: Tensor,
    /// Scores of the unclipped actions.
    pub ranked: Ranked,
    /// The chosen action, clipped to `[-1, 1]` `[B, d]`.
    pub action: Tensor,
}

/// How candidates are generated.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Generation {
    /// Generation steps.
    pub n_gen: usize,
    /// Scale of the source noise.
    pub base_std: f64,
    /// Arithmetic.
    pub precision: Precision,
}

/// Generates `P` candidates per state from standard normals `xi` and takes the best under the twin minimum.
///
/// # Shapes
/// `policy` `[N]`, `critics` `[2, M]`, `obs` `[B, o]`, `xi` `[B, P, d]`.
///
/// # Errors
/// On a shape mismatch.
pub fn best_of(
    generator: &Generator,
    policy: &Tensor,
    critic: &CriticNet,
    critics: &Tensor,
    obs: &Tensor,
    xi: &Tensor,
    generation: Generation,
) -> Result<BestOf> {
    let Generation {
        n_gen,
        base_std,
        precision,
    } = generation;
    let z = if base_std == 1.0 {
        xi.clone()
    } else {
        (xi * base_std)?
    };
    let candidates = generator.candidates(policy, obs, &z, n_gen, precision)?;
    let ranked = rank(critic, critics, obs, &candidates, precision)?;
    Ok(BestOf {
        action: ranked.action.clamp(-1.0, 1.0)?,
        candidates,
        ranked,
    })
}
