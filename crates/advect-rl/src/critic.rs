//! Twin critics: an ensemble of Q networks on `concat(obs, act)` with slowly moving targets.

use advect_kernels::optim::AdamConfig;
use advect_kernels::params::ParamLayout;
use advect_kernels::scalars::Scalar;
use advect_kernels::{
    Context, Mlp, Params, Precision, Pullback, ensemble, pointwise, side_by_side,
};
use candle_core::backprop::GradStore;
use candle_core::{D, Result, Tensor};

use crate::agent::Metrics;
use crate::batch::Batch;
use crate::learned::Averaged;
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
        let x = side_by_side(&[obs, act])?;
        self.mlp.forward(params, &x)?.squeeze(D::Minus1)
    }

    /// `Q_e(obs, act)` of every member, and its gradients on demand.
    ///
    /// # Shapes
    /// `params [E, P]`, `obs [B, o]`, `act [B, d]` -> `[E, B]`.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn q_values_with_pullback(
        &self,
        params: &Tensor,
        obs: &Tensor,
        act: &Tensor,
    ) -> Result<(Tensor, QPullback)> {
        let x = side_by_side(&[&obs.detach(), &act.detach()])?;
        let (q, pullback) = self.mlp.forward_with_pullback(params, &x)?;
        let obs_dim = self.obs_dim;
        Ok((q.squeeze(D::Minus1)?, QPullback { pullback, obs_dim }))
    }

    /// `min_e Q_e(obs, act)`; differentiable in all arguments.
    ///
    /// # Shapes
    /// `params [E, P]`, `obs [B, o]`, `act [B, d]` -> `[B]`.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn min_q(&self, params: &Tensor, obs: &Tensor, act: &Tensor) -> Result<Tensor> {
        ensemble::minimum(&self.q_values(params, obs, act)?)
    }

    /// `Q_e(obs_b, act_bk)` of `K` candidates per state, without gradient; the observation's share of the first layer
    /// is computed once per state.
    ///
    /// # Shapes
    /// `params [E, P]`, `obs [B, o]`, `act [B, K, d]` -> `[E, B, K]`.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn q_candidates(
        &self,
        params: &Tensor,
        obs: &Tensor,
        act: &Tensor,
        precision: Precision,
    ) -> Result<Tensor> {
        let obs = [obs];
        let context = Context::before(&obs);
        let q = self.mlp.forward_shared(params, context, act, precision)?;
        q.squeeze(D::Minus1)
    }

    /// The minimum over the members of [`CriticNet::q_candidates`].
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
        let q = self.q_candidates(params, obs, act, precision)?;
        ensemble::minimum(&q.flatten_from(1)?)?.reshape(&q.dims()[1..])
    }
}

/// From a cotangent `[E, B]` of `Q` to one of the parameters or of the actions.
#[derive(Debug)]
pub struct QPullback {
    pullback: Pullback,
    obs_dim: usize,
}

impl QPullback {
    /// The gradient in the parameters `[E, P]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn params(self, cotangent: &Tensor) -> Result<Tensor> {
        self.pullback.params(cotangent)
    }

    /// The gradient in the actions `[B, d]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn act(self, cotangent: &Tensor) -> Result<Tensor> {
        let x = self.pullback.input(cotangent)?;
        x.narrow(1, self.obs_dim, x.dim(1)? - self.obs_dim)
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
    ensemble::squared_error(q, y)
}

/// `y = reward_scale reward + gamma (1 - terminated) value`: the target for a value of the next state, without gradient.
///
/// # Shapes
/// All `[B]`; `value` may be `[E, B]`, of which the least member counts.
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
    pointwise::gated_sum(reward, terminated, value, reward_scale, gamma)
}

/// `V = Q - alpha log pi(a | s)`: the value of a maximum-entropy policy from one action of it, without gradient.
///
/// # Shapes
/// `q` and `log_prob [B]` -> `[B]`.
///
/// # Errors
/// If the shapes do not fit.
pub fn soft_value(q: &Tensor, log_prob: &Tensor, alpha: impl Into<Scalar>) -> Result<Tensor> {
    pointwise::minus_scaled(q, log_prob, &alpha.into())
}

/// The online critics `[E, P]`, their targets and their optimiser.
#[derive(Debug)]
pub struct TwinCritic {
    net: CriticNet,
    params: Averaged,
}

impl TwinCritic {
    /// Critics from their initial parameters `[E, P]`; the targets start as copies.
    ///
    /// # Errors
    /// If the parameters are no ensemble of this network.
    pub fn new(net: CriticNet, online: Params, adam: AdamConfig) -> Result<Self> {
        if online.members().is_none() || **online.layout() != net.layout() {
            let problem = "these parameters are no ensemble of this critic network";
            return Err(candle_core::Error::Msg(problem.into()));
        }
        let params = Averaged::new(online, adam)?;
        Ok(Self { net, params })
    }

    /// The shape of one critic.
    pub fn net(&self) -> &CriticNet {
        &self.net
    }

    /// The online parameters.
    pub fn online(&self) -> &Params {
        self.params.online.params()
    }

    /// The target parameters.
    pub fn target(&self) -> &Params {
        self.params.average()
    }

    /// `min_e Q_e(obs, act)` of the online critics, a constant in their parameters; differentiable in `act`.
    ///
    /// # Shapes
    /// `obs [B, o]`, `act [B, d]` -> `[B]`.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn min_q(&self, obs: &Tensor, act: &Tensor) -> Result<Tensor> {
        self.net.min_q(&self.online().detached(), obs, act)
    }

    /// `Q_1(obs, act)` of the first online critic, a constant in its parameters; differentiable in `act`.
    ///
    /// # Shapes
    /// `obs [B, o]`, `act [B, d]` -> `[B]`.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn first_q(&self, obs: &Tensor, act: &Tensor) -> Result<Tensor> {
        let first = self.online().detached().narrow(0, 0, 1)?;
        self.net.q_values(&first, obs, act)?.squeeze(0)
    }

    /// As [`TwinCritic::min_q`] with the targets.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn target_min_q(&self, obs: &Tensor, act: &Tensor) -> Result<Tensor> {
        ensemble::minimum(&self.target_q(obs, act)?)
    }

    /// `Q_e(obs, act)` of every target critic, as [`td_target`] takes it.
    ///
    /// # Shapes
    /// `obs [B, o]`, `act [B, d]` -> `[E, B]`.
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn target_q(&self, obs: &Tensor, act: &Tensor) -> Result<Tensor> {
        self.net.q_values(&self.target().detached(), obs, act)
    }

    /// Gradient of `loss` with respect to the online parameters, flat like [`Params::tensor`].
    ///
    /// # Errors
    /// If the loss does not depend on them.
    pub fn gradient(&self, loss: &Tensor) -> Result<Tensor> {
        self.params.online.gradient(loss)
    }

    /// The same of a loss that several parts learn from, out of its gradients.
    ///
    /// # Errors
    /// If the loss does not depend on the parameters.
    pub fn gradient_in(&self, gradients: &GradStore) -> Result<Tensor> {
        self.params.online.gradient_in(gradients)
    }

    /// One Adam step on [`td_loss`] of the batch's actions; returns the gradient and adds `critic/loss`, `critic/q`,
    /// `critic/target` and `critic/grad_norm`.
    ///
    /// # Shapes
    /// `y [B]` -> the gradient, flat like [`Params::tensor`].
    ///
    /// # Errors
    /// If the shapes do not fit.
    pub fn learn(
        &mut self,
        batch: &Batch,
        y: &Tensor,
        lr: f64,
        metrics: &mut Metrics,
    ) -> Result<Tensor> {
        let online = self.online().tensor();
        let (q, pullback) = self
            .net
            .q_values_with_pullback(online, &batch.obs, &batch.act)?;
        let (loss, errors) = ensemble::squared_error_with_gradient(&q, y)?;
        let gradient = pullback.params(&errors)?;
        metrics.insert_tensor("critic/grad_norm", &self.step(&gradient, lr)?)?;
        metrics.insert_tensor("critic/loss", &loss)?;
        metrics.insert_mean("critic/q", &q)?;
        metrics.insert_mean("critic/target", y)?;
        Ok(gradient)
    }

    /// One Adam step; returns the gradient's norm before clipping, a scalar of f64.
    ///
    /// # Errors
    /// If the gradient has another shape.
    pub fn step(&mut self, gradient: &Tensor, lr: f64) -> Result<Tensor> {
        self.params.online.step(gradient, lr)
    }

    /// Online parameters with their targets as averages.
    pub fn averaged(&self) -> &Averaged {
        &self.params
    }

    /// `target <- (1 - tau) target + tau online`.
    ///
    /// # Errors
    /// What the kernel reports.
    pub fn update_target(&self, tau: f64) -> Result<()> {
        self.params.update_average(tau)
    }

    /// Online parameters and targets, for a hash over both.
    pub fn buffers(&self) -> [&Params; 2] {
        self.params.buffers()
    }

    /// Writes parameters, targets and optimiser as `{prefix}/...`.
    ///
    /// # Errors
    /// If the device cannot be read.
    pub fn save(&self, prefix: &str, out: &mut StateDict) -> std::result::Result<(), StateError> {
        self.params.save(prefix, out)
    }

    /// Continues from what [`TwinCritic::save`] wrote.
    ///
    /// # Errors
    /// If an entry is missing or has another shape.
    pub fn load(&mut self, prefix: &str, from: &StateDict) -> std::result::Result<(), StateError> {
        self.params.load(prefix, from)
    }
}
