//! Networks that several files of cases share.

use advect_kernels::{Activation, Params};
use advect_rl::CriticNet;
use candle_core::Tensor;

use crate::case::Case;
use crate::error::GoldenError;
use crate::outputs::Gradients;

type Result<T> = std::result::Result<T, GoldenError>;

/// Twin critics of a file and, where it has them, their targets.
pub(super) struct Critics {
    pub net: CriticNet,
    pub online: Params,
}

impl Critics {
    /// The critics `names`; widths are read from the first one, observation width from `obs`.
    pub fn of(case: &Case, names: [&str; 2], activation: Activation) -> Result<Self> {
        let sizes = case.mlp_sizes(names[0])?;
        let obs_dim = case.shape("obs")?[1];
        let hidden = &sizes[1..sizes.len() - 1];
        let net = CriticNet::new(obs_dim, sizes[0] - obs_dim, hidden, activation)?;
        let online = case.ensemble(&names, &net.layout())?;
        Ok(Self { net, online })
    }

    /// `min(Q1, Q2)` `[B]`.
    pub fn min_q(&self, obs: &Tensor, act: &Tensor) -> Result<Tensor> {
        Ok(self.net.min_q(&self.online.detached(), obs, act)?)
    }

    /// Gradient of `loss` in the critics, in `grad_order`.
    pub fn gradient(&self, case: &Case, loss: &Tensor) -> Result<Tensor> {
        let gradient = gradient(loss, &self.online, "q1, q2")?;
        case.flat_gradient(&Gradients::new().with_members(
            &["q1", "q2"],
            &self.net.layout(),
            &gradient,
        )?)
    }
}

/// Gradient of `loss` in one parameter buffer.
pub(super) fn gradient(loss: &Tensor, params: &Params, name: &str) -> Result<Tensor> {
    let missing = || GoldenError::NoGradient(name.to_owned());
    loss.backward()?.remove(params.var()).ok_or_else(missing)
}
