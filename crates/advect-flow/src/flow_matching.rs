//! Straight-line probability paths, their two time conventions, and the flow-matching loss.

use advect_kernels::candidates::weighted_difference;
use advect_kernels::ensemble;
use advect_kernels::pointwise::mix;
use candle_core::{Result, Tensor};

use crate::error::expect_dims;

/// Direction of flow time. The two are never mixed in one loss (flame.md section 1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TimeConvention {
    /// `tau`: 0 is noise, 1 is data. `z = tau a + (1 - tau) eps`, `dz/dtau = a - eps`.
    DataUp,
    /// `t = 1 - tau`: 0 is data, 1 is noise. `z = (1 - t) a + t eps`, `dz/dt = eps - a`.
    NoiseUp,
}

impl TimeConvention {
    /// Coefficients `(c_a, c_eps)` of `z = c_a a + c_eps eps`, shaped as `time`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn coefficients(self, time: &Tensor) -> Result<(Tensor, Tensor)> {
        let rest = time.affine(-1.0, 1.0)?;
        Ok(match self {
            Self::DataUp => (time.clone(), rest),
            Self::NoiseUp => (rest, time.clone()),
        })
    }

    /// The point `z` of the path between `eps` and `act` at `time`.
    ///
    /// # Shapes
    /// `act`, `eps` `[B, d]`, `time` `[B]` to `[B, d]`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn interpolate(self, act: &Tensor, eps: &Tensor, time: &Tensor) -> Result<Tensor> {
        expect_dims("interpolate", "eps", eps, act.dims())?;
        expect_dims("interpolate", "time", time, &act.dims()[..1])?;
        match self {
            Self::DataUp => mix(eps, act, time),
            Self::NoiseUp => mix(act, eps, time),
        }
    }

    /// The velocity of the path between `eps` and `act`, constant in time; any shape.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn velocity(self, act: &Tensor, eps: &Tensor) -> Result<Tensor> {
        match self {
            Self::DataUp => act - eps,
            Self::NoiseUp => eps - act,
        }
    }
}

/// Mean squared error over rows and coordinates, the target held constant.
///
/// With `target = act - eps` this is conditional flow matching (Lipman et al., arXiv 2210.02747, eq. 9).
///
/// # Shapes
/// `v` and `target` `[B, d]` to a scalar.
///
/// # Errors
/// On a shape mismatch.
pub fn regression_loss(v: &Tensor, target: &Tensor) -> Result<Tensor> {
    expect_dims("regression_loss", "target", target, v.dims())?;
    ensemble::squared_error(v, &target.detach())
}

/// `sum_k w_k x_k`: weighted mean of `K` vectors per row.
///
/// # Shapes
/// `weights` `[B, K]`, `x` `[B, K, d]` to `[B, d]`.
///
/// # Errors
/// On a shape mismatch.
pub fn weighted_mean(weights: &Tensor, x: &Tensor) -> Result<Tensor> {
    expect_dims("weighted_mean", "weights", weights, &x.dims()[..2])?;
    weights.unsqueeze(1)?.matmul(x)?.squeeze(1)
}

/// `sum_k w_k u_k` of the paths' velocities `u_k`, see [`TimeConvention::velocity`].
///
/// # Shapes
/// `weights` `[B, K]`, `act` and `eps` `[B, K, d]` to `[B, d]`.
///
/// # Errors
/// On a shape mismatch.
pub fn mean_velocity(
    path: TimeConvention,
    weights: &Tensor,
    act: &Tensor,
    eps: &Tensor,
) -> Result<Tensor> {
    match path {
        TimeConvention::DataUp => weighted_difference(weights, act, eps),
        TimeConvention::NoiseUp => weighted_difference(weights, eps, act),
    }
}
