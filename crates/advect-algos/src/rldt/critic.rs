//! The critics: values of fresh actions, lambda returns over chunks, disjoint data (rldt.md section 4).

use advect_kernels::Precision;
use advect_rl::CriticNet;
use candle_core::{Result, Tensor, Var};

/// `clip( mean over samples of min_e Q_e(s, a'), low, high )` from the members' values, without gradient.
///
/// # Shapes
/// `q` `[E, B, S]` to `[B]`.
///
/// # Errors
/// If the device fails.
pub fn bootstrap_value(q: &Tensor, (low, high): (f64, f64)) -> Result<Tensor> {
    q.min(0)?.mean(1)?.clamp(low, high)
}

/// [`bootstrap_value`] of the target critics at `S` actions per state.
///
/// # Shapes
/// `targets` `[E, N]`, `obs` `[B, o]`, `act` `[B, S, A]` to `[B]`.
///
/// # Errors
/// On a shape mismatch.
pub fn next_value(
    net: &CriticNet,
    targets: &Tensor,
    obs: &Tensor,
    act: &Tensor,
    clip: (f64, f64),
) -> Result<Tensor> {
    let q = net.q_candidates(targets, obs, act, Precision::F32)?;
    bootstrap_value(&q, clip)
}

/// Rows of a batch that one critic sees.
#[derive(Debug, Clone)]
pub struct Share {
    /// States `[n, o]`.
    pub obs: Tensor,
    /// Executed actions `[n, A]`.
    pub act: Tensor,
}

/// `mean (Q_e(s, a) - y_e)^2` of every critic on its own share; their sum is the loss.
///
/// # Shapes
/// `params` `[E, N]`, one share and targets `[n]` per critic.
///
/// # Errors
/// On a shape mismatch.
pub fn disjoint_losses(
    net: &CriticNet,
    params: &Tensor,
    shares: &[Share],
    y: &[Tensor],
) -> Result<Vec<Tensor>> {
    let loss = |(e, (share, y)): (usize, (&Share, &Tensor))| {
        let own = params.narrow(0, e, 1)?;
        let q = net.q_values(&own, &share.obs, &share.act)?.squeeze(0)?;
        (q - y.detach())?.sqr()?.mean_all()
    };
    shares.iter().zip(y).enumerate().map(loss).collect()
}

/// `g = mean_e grad_a Q_e(s, a)` of the online critics at one action per row.
///
/// # Shapes
/// `critics` `[E, N]`, `obs` `[B, o]`, `act` `[B, A]` to `[B, A]`.
///
/// # Errors
/// On a shape mismatch.
pub fn action_gradient(
    net: &CriticNet,
    critics: &Tensor,
    obs: &Tensor,
    act: &Tensor,
) -> Result<Tensor> {
    let act = Var::from_tensor(&act.detach().contiguous()?)?;
    let q = net.q_values(&critics.detach(), obs, act.as_tensor())?;
    let gradients = q.mean(0)?.sum_all()?.backward()?;
    let missing = || candle_core::Error::Msg("the critics do not depend on the action".into());
    gradients.get(&act).cloned().ok_or_else(missing)
}
