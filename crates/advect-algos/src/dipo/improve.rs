//! Gradient ascent of stored actions on the critics.

use advect_kernels::optim::AdamConfig;
use advect_kernels::{ParamLayout, Params};
use advect_rl::{CriticNet, Learned};
use candle_core::{Result, Tensor};

/// How actions are improved.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ascent {
    /// Adam steps.
    pub steps: usize,
    /// Learning rate.
    pub lr: f64,
    /// The gradient of all actions together is scaled down to this norm.
    pub clip_norm: f64,
}

/// `a <- clip(a + Adam step of grad_a sum_b min Q(s_b, a_b), -1, 1)`, `steps` times, from fresh moments.
///
/// # Shapes
/// `critics` `[2, M]`, `obs` `[B, o]`, `act` `[B, d]` to `[B, d]`.
///
/// # Errors
/// On a shape mismatch, or if a gradient is not finite.
pub fn improve(
    critic: &CriticNet,
    critics: &Tensor,
    obs: &Tensor,
    act: &Tensor,
    ascent: Ascent,
) -> Result<Tensor> {
    let adam = AdamConfig {
        clip_norm: Some(ascent.clip_norm),
        ..AdamConfig::default()
    };
    let mut moving = Learned::new(as_params(act)?, adam)?;
    for _ in 0..ascent.steps {
        let act = moving.params().tensor().reshape(act.shape())?;
        let loss = critic.min_q(critics, obs, &act)?.sum_all()?.neg()?;
        moving.descend(&loss, ascent.lr)?;
        let moved = moving.params().detached().clamp(-1.0, 1.0)?;
        moving.params().set_from_slice(&moved.to_vec1()?)?;
    }
    moving.params().detached().copy()?.reshape(act.shape())
}

/// Actions as parameters that an optimiser can move.
fn as_params(act: &Tensor) -> Result<Params> {
    let mut layout = ParamLayout::new();
    layout.push("act", act.dims());
    Params::from_vec(layout, None, act.flatten_all()?.to_vec1()?, act.device())
}
