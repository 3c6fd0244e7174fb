//! MeanFlow: average velocities and their training target (Geng et al., arXiv 2505.13447), noise-up time.

use advect_kernels::pointwise::{minus_span, sorted};
use candle_core::{DType, Result, Tensor};

use crate::error::expect_dims;
use crate::network::{MeanVelocityNet, Tangent};

/// The regression target of the MeanFlow identity, and the tangent in it.
#[derive(Debug, Clone)]
pub struct MeanFlowTarget {
    /// `d/dt u = (du/dz) v + du/dt` `[B, d]`.
    pub jvp: Tensor,
    /// `v - clamp(t - r, 0, 1) jvp` `[B, d]`, constant.
    pub target: Tensor,
}

/// `v - (t - r) d/dt u_theta(z, r, t)` along `(v, 0, 1)`: one explicit forward-mode pass (flame.md eq. 5).
///
/// Linear in `v`, so a weighted mean of velocities gives the weighted mean of their targets (flame.md eq. 6).
///
/// # Shapes
/// `params` `[P]`, `obs` `[B, o]`, `z` and `v` `[B, d]`, `r` and `t` `[B]`.
///
/// # Errors
/// On a shape mismatch.
pub fn target(
    net: &MeanVelocityNet,
    params: &Tensor,
    obs: &Tensor,
    z: &Tensor,
    r: &Tensor,
    t: &Tensor,
    v: &Tensor,
) -> Result<MeanFlowTarget> {
    let (_, jvp) = net.jvp(params, obs, z, [r, t], along(v))?;
    MeanFlowTarget::of(jvp, v, r, t)
}

/// The direction of the identity: `z` moves by `v`, `t` by one, `r` not.
fn along(v: &Tensor) -> Tangent<'_, 2> {
    Tangent {
        z: v,
        times: [0.0, 1.0],
    }
}

impl MeanFlowTarget {
    fn of(jvp: Tensor, v: &Tensor, r: &Tensor, t: &Tensor) -> Result<Self> {
        let target = minus_span(v, &jvp, r, t)?;
        Ok(Self { jvp, target })
    }
}

/// Both sides of the MeanFlow regression.
#[derive(Debug, Clone)]
pub struct Regression {
    /// `u_theta(s, z, r, t)` `[B, d]`, differentiable in the parameters.
    pub u: Tensor,
    /// What it is drawn to.
    pub target: MeanFlowTarget,
}

/// The prediction at `z` and its [`target`], by one pass; shapes and errors are those of [`target`].
///
/// # Errors
/// On a shape mismatch.
pub fn regression(
    net: &MeanVelocityNet,
    params: &Tensor,
    obs: &Tensor,
    z: &Tensor,
    (r, t): (&Tensor, &Tensor),
    v: &Tensor,
) -> Result<Regression> {
    let (u, jvp) = net.forward_with_tangent(params, obs, z, [r, t], along(v))?;
    let target = MeanFlowTarget::of(jvp, v, r, t)?;
    Ok(Regression { u, target })
}

/// `l_b = sum_d (u - target)^2`, the target held constant: `[B, d]` to `[B]`.
///
/// # Errors
/// On a shape mismatch.
pub fn sample_loss(u: &Tensor, target: &Tensor) -> Result<Tensor> {
    expect_dims("sample_loss", "target", target, u.dims())?;
    (u - target.detach())?.sqr()?.sum(1)
}

/// `mean_b l_b / stop_grad(l_b + c)`: adaptive weighting with power one (Geng et al., section 4.3).
///
/// # Shapes
/// `sample_loss` `[B]` to a scalar.
///
/// # Errors
/// If the device fails.
pub fn adaptive_loss(sample_loss: &Tensor, c: f64) -> Result<Tensor> {
    (sample_loss / (sample_loss.detach() + c)?)?.mean_all()
}

/// How the MeanFlow loss weighs its samples.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum SampleWeight {
    /// `mean_b l_b`.
    Uniform,
    /// `mean_b l_b / stop_grad(l_b + c)`.
    Adaptive {
        /// The constant `c`; Geng et al. take 0.01.
        c: f64,
    },
}

/// A MeanFlow loss and its parts.
#[derive(Debug, Clone)]
pub struct MeanFlowLoss {
    /// Scalar to differentiate.
    pub loss: Tensor,
    /// `l_b` `[B]`.
    pub sample_loss: Tensor,
    /// Target and tangent.
    pub target: MeanFlowTarget,
}

/// Plain MeanFlow loss of data `act` and noise `eps`: `z = (1 - t) act + t eps`, `v = eps - act`.
///
/// # Shapes
/// `obs` `[B, o]`, `act` and `eps` `[B, d]`, `span = (r, t)` both `[B]`; the loss is a scalar.
///
/// # Errors
/// On a shape mismatch.
pub fn loss(
    net: &MeanVelocityNet,
    params: &Tensor,
    obs: &Tensor,
    act: &Tensor,
    eps: &Tensor,
    span: (&Tensor, &Tensor),
    weight: SampleWeight,
) -> Result<MeanFlowLoss> {
    use crate::flow_matching::TimeConvention::NoiseUp;
    let z = NoiseUp.interpolate(act, eps, span.1)?;
    let v = NoiseUp.velocity(act, eps)?;
    let Regression { u, target } = regression(net, params, obs, &z, span, &v)?;
    let sample_loss = sample_loss(&u, &target.target)?;
    let loss = match weight {
        SampleWeight::Uniform => sample_loss.mean_all()?,
        SampleWeight::Adaptive { c } => adaptive_loss(&sample_loss, c)?,
    };
    Ok(MeanFlowLoss {
        loss,
        sample_loss,
        target,
    })
}

/// Distribution of flow times; draws are arguments.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum TimeSampler {
    /// `low + (high - low) U`, `U` uniform on (0, 1).
    Uniform {
        /// Lower end.
        low: f64,
        /// Upper end.
        high: f64,
    },
    /// `sigmoid(mean + std N)`, `N` standard normal; Geng et al. take mean -0.4 and std 1.
    LogitNormal {
        /// Mean of the logit.
        mean: f64,
        /// Standard deviation of the logit.
        std: f64,
    },
}

impl TimeSampler {
    /// Times of the given draws, same shape: of uniforms on (0, 1), or for [`TimeSampler::LogitNormal`] of standard normals.
    ///
    /// # Errors
    /// If the device fails.
    pub fn map(self, draws: &Tensor) -> Result<Tensor> {
        match self {
            Self::Uniform { low, high } => draws.affine(high - low, low),
            Self::LogitNormal { mean, std } => (draws.affine(-std, -mean)?.exp()? + 1.0)?.recip(),
        }
    }

    /// `(r, t)`: the sorted pair of two independent draws.
    ///
    /// # Shapes
    /// `first` and `second` `[B]` to two tensors `[B]` with `r <= t`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn pair(self, first: &Tensor, second: &Tensor) -> Result<(Tensor, Tensor)> {
        let (first, second) = (self.map(first)?, self.map(second)?);
        sorted(&first, &second)
    }
}

/// Sets `r = t` in the rows whose uniform draw lies below `fraction`: those rows are plain flow matching.
///
/// # Shapes
/// `r`, `t` and `uniforms` `[B]` to `[B]`.
///
/// # Errors
/// On a shape mismatch.
pub fn tie_fraction(r: &Tensor, t: &Tensor, uniforms: &Tensor, fraction: f64) -> Result<Tensor> {
    let tied = uniforms.lt(fraction)?.to_dtype(DType::U8)?;
    tied.where_cond(t, r)
}
