//! Twin critics: an ensemble of Q networks on `concat(obs, act)` with slowly moving targets.

use advect_kernels::optim::{Adam, AdamConfig};
use advect_kernels::params::ParamLayout;
use advect_kernels::{Mlp, Params, Precision};
use candle_core::{D, Result, Tensor};

use crate::state::{StateDict, StateError};

/// The shape of a Q network; its parameters `[E, P]` live elsewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CriticNet {
    mlp: Mlp,
    obs_dim: usize,
}

impl CriticNet {
    /// A Q network with hidden widths `hidden`.
    ///
    /// # Errors
    /// If a width is zero.
    pub fn new(
        obs_dim: usize,
        act_dim: usize,
        hidden: &[usize],
        activation: advect_kernels::Activation,
    ) -> Result<Self> {
        let mut sizes = vec![obs_dim + act_dim];
        sizes.extend_from_slice(hidden);
        sizes.push(1);
        Ok(Self {
            mlp: Mlp::new(&sizes, activation)?,
            obs_dim,
        })
    }

    /// The network under it.
    pub fn mlp(&self) -> &Mlp {
        &self.mlp
    }

    /// The layout of one member, entries `q.{i}.weight` and `q.{i}.bias`.
    pub fn layout(&self) -> ParamLayout {
        let mut layout = ParamLayout::new();
        self.mlp.push_layout(&mut layout, "q");
        layout
    }

    /// `Q_e(obs, act)` of every member; differentiable in all arguments.
    ///
    /// # Shapes
    /// `params [E, P]`, `obs [B, o]`, `act [B, d]` -> `[E, B]`.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn q_values(&self, params: &Tensor, obs: &Tensor, act: &Tensor) -> Result<Tensor> {
        let x = Tensor::cat(&[obs, act], D::Minus1)?;
        self.mlp.forward(params, &x)?.squeeze(D::Minus1)
    }

    /// `min_e Q_e(obs, act)`; differentiable in all arguments.
    ///
    /// # Shapes
    /// `params [E, P]`, `obs [B, o]`, `act [B, d]` -> `[B]`.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn min_q(&self, params: &Tensor, obs: &Tensor, act: &Tensor) -> Result<Tensor> {
        self.q_values(params, obs, act)?.min(0)
    }

    /// `min_e Q_e(obs_b, act_bk)` of `K` candidates per state, without gradient; the observation's share of the first
    /// layer is computed once per state.
    ///
    /// # Shapes
    /// `params [E, P]`, `obs [B, o]`, `act [B, K, d]` -> `[B, K]`.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn min_q_candidates(
        &self,
        params: &Tensor,
        obs: &Tensor,
        act: &Tensor,
        precision: Precision,
    ) -> Result<Tensor> {
        let q = self
            .mlp
            .forward_shared(params, obs, act, self.obs_dim, precision)?;
        q.squeeze(D::Minus1)?.min(0)
    }
}

/// `sum_e mean_b (Q_e - y)^2`, without a factor 1/2; `y` is a constant.
///
/// # Shapes
/// `q [E, B]`, `y [B]` -> scalar.
///
/// # Errors
/// If the shapes do not fit.
///
/// ```
/// use candle_core::{Device, Tensor};
/// let q = Tensor::new(&[[1f32, 2.0], [3.0, 4.0]], &Device::Cpu)?;
/// let y = Tensor::new(&[1f32, 1.0], &Device::Cpu)?;
/// assert_eq!(advect_rl::critic::td_loss(&q, &y)?.to_scalar::<f32>()?, 0.5 + 6.5);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn td_loss(q: &Tensor, y: &Tensor) -> Result<Tensor> {
    q.broadcast_sub(&y.detach())?
        .sqr()?
        .mean(D::Minus1)?
        .sum_all()
}

/// `y = reward_scale reward + gamma (1 - terminated) value`: the target for a value of the next state, without gradient.
///
/// # Shapes
/// All `[B]`.
///
/// # Errors
/// If the shapes do not fit.
pub fn td_target(
    reward: &Tensor,
    terminated: &Tensor,
    value: &Tensor,
    reward_scale: f64,
    gamma: f64,
) -> Result<Tensor> {
    let discount = terminated.affine(-gamma, gamma)?;
    let y = ((reward * reward_scale)? + (discount * value)?)?;
    Ok(y.detach())
}

/// The online critics `[E, P]`, their targets and their optimiser.
#[derive(Debug)]
pub struct TwinCritic {
    net: CriticNet,
    online: Params,
    target: Params,
    adam: Adam,
}

impl TwinCritic {
    /// Critics from their initial parameters `[E, P]`; the targets start as copies.
    ///
    /// # Errors
    /// If the parameters are no ensemble of this network.
    pub fn new(net: CriticNet, online: Params, adam: AdamConfig) -> Result<Self> {
        let target = online.duplicate()?;
        let adam = Adam::new(&online, adam)?;
        Ok(Self {
            net,
            online,
            target,
            adam,
        })
    }

    /// The shape of one critic.
    pub fn net(&self) -> &CriticNet {
        &self.net
    }

    /// The online parameters.
    pub fn online(&self) -> &Params {
        &self.online
    }

    /// The target parameters.
    pub fn target(&self) -> &Params {
        &self.target
    }

    /// Gradient of `loss` with respect to the online parameters, flat like [`Params::tensor`].
    ///
    /// # Errors
    /// If the loss does not depend on them.
    pub fn gradient(&self, loss: &Tensor) -> Result<Tensor> {
        let gradients = loss.backward()?;
        let missing = || {
            candle_core::Error::Msg("the critic loss does not depend on the online critics".into())
        };
        gradients
            .get(self.online.var())
            .cloned()
            .ok_or_else(missing)
    }

    /// One Adam step; returns the gradient's norm before clipping.
    ///
    /// # Errors
    /// If the gradient has another shape.
    pub fn step(&mut self, gradient: &Tensor, lr: f64) -> Result<f64> {
        self.adam.step(&self.online, gradient, lr)
    }

    /// `target <- (1 - tau) target + tau online`.
    ///
    /// # Errors
    /// What the kernel reports.
    pub fn update_target(&self, tau: f64) -> Result<()> {
        self.target.lerp_towards(&self.online, tau)
    }

    /// Writes parameters, targets and optimiser as `{prefix}/...`.
    ///
    /// # Errors
    /// If the device cannot be read.
    pub fn save(&self, prefix: &str, out: &mut StateDict) -> std::result::Result<(), StateError> {
        out.put_params(format!("{prefix}/online"), &self.online)?;
        out.put_params(format!("{prefix}/target"), &self.target)?;
        out.put_adam(&format!("{prefix}/adam"), &self.adam)
    }

    /// Continues from what [`TwinCritic::save`] wrote.
    ///
    /// # Errors
    /// If an entry is missing or has another shape.
    pub fn load(&mut self, prefix: &str, from: &StateDict) -> std::result::Result<(), StateError> {
        from.load_params(&format!("{prefix}/online"), &self.online)?;
        from.load_params(&format!("{prefix}/target"), &self.target)?;
        from.load_adam(&format!("{prefix}/adam"), &mut self.adam)
    }
}
