//! Particles and where an intermediate point of each one's flow lands (rldt.md sections 2 and 3, steps 1 to 3).

use advect_flow::{Field, Grid};
use candle_core::{DType, Result, Tensor};

/// Particles of every state, one intermediate point of each, and its expected landing; nothing of them is differentiated.
#[derive(Debug, Clone)]
pub struct Particles {
    /// End points `x_K` `[M, P, A]`.
    pub action: Tensor,
    /// Intermediate points `x_k` `[M, P, A]`.
    pub point: Tensor,
    /// `x_k + (1 - tau) v(x_k, tau, s) = E[a | x_k]` `[M, P, A]`.
    pub landing: Tensor,
    /// Their flow times `k/K` `[M, P]`.
    pub tau: Tensor,
}

/// `x_(k+1) = x_k + v(x_k, k/K, s)/K` from `x_0 = noise`, with the point before step `step` of every particle kept. The landing takes
/// the velocity of that step, so it costs no call of the network, and the memory does not grow with `K`.
///
/// # Shapes
/// `noise` `[M, P, A]`, `step` `[M, P]` u32 below `n_steps`.
///
/// # Errors
/// On a shape mismatch.
pub fn sample(
    field: &impl Field,
    noise: &Tensor,
    step: &Tensor,
    n_steps: usize,
) -> Result<Particles> {
    let mut x = noise.clone();
    let (mut point, mut landing) = (x.clone(), x.clone());
    for (k, span) in Grid::data_up(n_steps).spans().enumerate() {
        let v = field.value(&x, span)?;
        let here = step.eq(k as u32)?.unsqueeze(2)?.broadcast_as(x.shape())?;
        point = here.where_cond(&x, &point)?;
        let lands = (&x + (&v * (1.0 - span.from))?)?;
        landing = here.where_cond(&lands, &landing)?;
        x = (x + (v * span.length())?)?;
    }
    Ok(Particles {
        action: x,
        point,
        landing,
        tau: times(step, n_steps)?,
    })
}

/// `k/K` of every step, same shape, f32.
///
/// # Errors
/// If the device fails.
pub fn times(step: &Tensor, n_steps: usize) -> Result<Tensor> {
    step.to_dtype(DType::F32)? / n_steps as f64
}

/// `E[a | x] = x + (1 - tau) v(x, tau, s)` with a velocity that may be differentiated.
///
/// # Shapes
/// `x` and `v` `[N, A]`, `tau` `[N]` to `[N, A]`.
///
/// # Errors
/// On a shape mismatch.
pub fn landing(x: &Tensor, v: &Tensor, tau: &Tensor) -> Result<Tensor> {
    x + v.broadcast_mul(&tau.affine(-1.0, 1.0)?.unsqueeze(1)?)?
}

/// The executed action of a training rollout: `a + |a - y| eps` per row, more noise where the flow is curved (rldt.md section 5).
///
/// # Shapes
/// `action`, `landing` and `eps` `[N, A]` to `[N, A]`.
///
/// # Errors
/// On a shape mismatch.
pub fn explored(action: &Tensor, landing: &Tensor, eps: &Tensor) -> Result<Tensor> {
    let distance = (action - landing)?.sqr()?.sum_keepdim(1)?.sqrt()?;
    action + eps.broadcast_mul(&distance)?
}
