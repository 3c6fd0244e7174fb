//! Acting: the best of `P` generated candidates (flame.md section 6).

use advect_kernels::Precision;
use advect_rl::CriticNet;
use candle_core::{D, Result, Tensor};

use super::generator::Generator;

/// Candidates, their scores and the choice.
#[derive(Debug, Clone)]
pub struct BestOf {
    /// Unclipped actions `[B, P, d]`.
    pub candidates: Tensor,
    /// `min(Q1, Q2)` of the unclipped actions `[B, P]`.
    pub score: Tensor,
    /// First index of the largest score `[B]`, u32.
    pub index: Tensor,
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
    let score = critic.min_q_candidates(critics, obs, &candidates, precision)?;
    let index = score.argmax(D::Minus1)?;
    let action = select(&candidates, &index)?.clamp(-1.0, 1.0)?;
    Ok(BestOf {
        candidates,
        score,
        index,
        action,
    })
}

/// `candidates[b, index[b]]`: `[B, P, d]` and `[B]` to `[B, d]`.
fn select(candidates: &Tensor, index: &Tensor) -> Result<Tensor> {
    let (rows, _, d) = candidates.dims3()?;
    let index = index
        .reshape((rows, 1, 1))?
        .broadcast_as((rows, 1, d))?
        .contiguous()?;
    candidates.gather(&index, 1)?.squeeze(1)
}
