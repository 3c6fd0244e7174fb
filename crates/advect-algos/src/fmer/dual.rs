//! Dual steps: the entropy's multiplier and the temperature of the mirror step (fmer.md sections 5.5 and 6). Numbers of a CUDA device stay
//! there.

use advect_kernels::pointwise::{Steering, steered};
use advect_kernels::scalars::Scalar;
use candle_core::Result;

/// Bounds of a positive number.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Bounds {
    /// Smallest value.
    pub min: f64,
    /// Largest value.
    pub max: f64,
}

impl Bounds {
    /// Logarithms of both.
    pub fn logs(self) -> (f64, f64) {
        (self.min.ln(), self.max.ln())
    }

    /// Both moved up by `shift`.
    #[must_use]
    pub fn above(self, shift: f64) -> Self {
        Self {
            min: self.min + shift,
            max: self.max + shift,
        }
    }

    /// Moves a logarithm within them.
    fn steering(self, rate: f64, target: f64) -> Steering {
        let (low, high) = self.logs();
        Steering {
            rate,
            target,
            low,
            high,
        }
    }
}

/// `log alpha <- clip(log alpha - lr (H - H_target))`: falls while the entropy is above its target.
///
/// # Errors
/// If the device fails; the same holds for every step here.
pub fn alpha_step(
    log_alpha: &Scalar,
    entropy: &Scalar,
    target: f64,
    lr: f64,
    bounds: Bounds,
) -> Result<Scalar> {
    steered(log_alpha, entropy, bounds.steering(lr, target))
}

/// `log T <- clip(log T + lr (rho - e))`: rises while the effective sample size is below its target.
///
/// # Errors
/// See [`alpha_step`].
pub fn temperature_step(
    log_temperature: &Scalar,
    ess_fraction: &Scalar,
    target: f64,
    lr: f64,
    bounds: Bounds,
) -> Result<Scalar> {
    steered(log_temperature, ess_fraction, bounds.steering(lr, target))
}

/// `log T <- (1 - rate) log T + rate log T_solved`.
///
/// # Errors
/// See [`alpha_step`].
pub fn smoothed(log_temperature: &Scalar, solved: f64, rate: f64) -> Result<Scalar> {
    log_temperature.towards(&solved.ln().into(), rate)
}

/// `max(log T, log(kappa q_gap))`, which may exceed the largest temperature: a temperature below the critics' disagreement would amplify their noise.
///
/// # Errors
/// See [`alpha_step`].
pub fn floored(log_temperature: &Scalar, kappa: f64, q_gap: &Scalar) -> Result<Scalar> {
    if kappa == 0.0 {
        return Ok(log_temperature.clone());
    }
    log_temperature.max(&q_gap.affine(kappa, 0.0)?.ln()?)
}
