//! Log-densities and entropies of a flow by change of variables along its steps.
//!
//! A step `x' = x + h f(x)` has the Jacobian `I + h J`. Its log-volume is exactly `log|det(I + h J)|` and, to first
//! order in `h`, `h tr J`; the trace may be exact or Hutchinson's `probe' J probe` (flame.md section 4.1, eq. 8 and 9).

use std::f64::consts::PI;

use advect_kernels::logdet::log_abs_det_step;
use candle_core::{Result, Tensor};

use crate::error::expect_dims;
use crate::field::{DifferentiableField, Grid, Span};

/// How the log-volume of a step is measured.
#[derive(Debug, Clone, Copy)]
pub enum Volume<'a> {
    /// `h tr J`: first order in `h`, exact trace.
    Trace,
    /// `h probe' J probe`: first order, one probe `[B, d]` per row for all steps, `E[probe probe'] = I`.
    Hutchinson(&'a Tensor),
    /// `h probe' J probe - (h^2/2) probe' J J probe`: second order, the same probe in both terms.
    SecondOrder(&'a Tensor),
    /// `log|det(I + h J)|`: exact for the discrete map, whatever the number of steps.
    LogDet,
}

/// End of a trajectory and what the steps did to volume.
#[derive(Debug, Clone)]
pub struct Transported {
    /// Last point `[B, d]`.
    pub end: Tensor,
    /// Sum of the log-volumes of the steps `[B]`.
    pub log_volume: Tensor,
}

impl Transported {
    /// `log p(end) = log N(start; 0, I) - log_volume` when `start` is the noise.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn log_prob_from_noise(&self, start: &Tensor) -> Result<Tensor> {
        standard_normal_log_prob(start)? - &self.log_volume
    }

    /// `log p(start) = log N(end; 0, I) + log_volume` when the integration ran from data to noise.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn log_prob_to_noise(&self) -> Result<Tensor> {
        standard_normal_log_prob(&self.end)? + &self.log_volume
    }

    /// `H = (d/2)(1 + ln 2 pi) + log_volume` per row, when the start was drawn from `N(0, I)` (flame.md eq. 9).
    ///
    /// # Errors
    /// If the device fails.
    pub fn entropy_from_noise(&self) -> Result<Tensor> {
        &self.log_volume + standard_normal_entropy(self.end.dim(1)?)
    }
}

/// Integrates `x0` over `grid` by Euler steps and measures the change of volume, without gradient.
///
/// Field and Jacobian of a step are taken at the point before the step.
///
/// # Shapes
/// `x0` `[B, d]`.
///
/// # Errors
/// On a shape mismatch.
pub fn transport(
    field: &impl DifferentiableField,
    x0: &Tensor,
    grid: Grid,
    volume: Volume<'_>,
) -> Result<Transported> {
    let mut x = x0.detach();
    let mut log_volume = Tensor::zeros(x.dim(0)?, x.dtype(), x.device())?;
    for span in grid.spans() {
        let (value, change) = step_volume(field, &x, span, volume)?;
        log_volume = (log_volume + change)?;
        x = (x + (value * span.length())?)?;
    }
    Ok(Transported { end: x, log_volume })
}

fn step_volume(
    field: &impl DifferentiableField,
    x: &Tensor,
    span: Span,
    volume: Volume<'_>,
) -> Result<(Tensor, Tensor)> {
    let h = span.length();
    match volume {
        Volume::Trace => {
            let (value, jacobian) = field.jacobian(x, span)?;
            Ok((value, (trace(&jacobian)? * h)?))
        }
        Volume::Hutchinson(probe) => {
            let (value, along) = along(field, x, span, probe)?;
            Ok((value, ((probe * along)?.sum(1)? * h)?))
        }
        Volume::SecondOrder(probe) => {
            let (value, first) = along(field, x, span, probe)?;
            let (_, second) = field.jvp(x, span, &first)?;
            let series = ((first * h)? - (second * (0.5 * h * h))?)?;
            Ok((value, (probe * series)?.sum(1)?))
        }
        Volume::LogDet => {
            let (value, jacobian) = field.jacobian(x, span)?;
            Ok((value, log_abs_det_step(&jacobian, h)?))
        }
    }
}

/// Value and derivative along a probe.
fn along(
    field: &impl DifferentiableField,
    x: &Tensor,
    span: Span,
    probe: &Tensor,
) -> Result<(Tensor, Tensor)> {
    expect_dims("transport", "probe", probe, x.dims())?;
    field.jvp(x, span, probe)
}

/// Trace of every matrix: `[B, d, d]` to `[B]`.
///
/// # Errors
/// On a shape mismatch.
pub fn trace(matrices: &Tensor) -> Result<Tensor> {
    let (_, rows, cols) = matrices.dims3()?;
    expect_dims(
        "trace",
        "matrices",
        matrices,
        &[matrices.dim(0)?, rows, rows],
    )?;
    let eye = Tensor::eye(cols, matrices.dtype(), matrices.device())?;
    matrices.broadcast_mul(&eye)?.sum((1, 2))
}

/// `log N(x; 0, I)` per row: `[B, d]` to `[B]`.
///
/// # Errors
/// If `x` has no second axis.
pub fn standard_normal_log_prob(x: &Tensor) -> Result<Tensor> {
    let constant = -0.5 * x.dim(1)? as f64 * (2.0 * PI).ln();
    x.sqr()?.sum(1)?.affine(-0.5, constant)
}

/// Entropy of `N(0, I)` in `d` dimensions: `(d/2)(1 + ln 2 pi)`.
pub fn standard_normal_entropy(d: usize) -> f64 {
    0.5 * d as f64 * (1.0 + (2.0 * PI).ln())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::Field;
    use candle_core::Device;

    /// Scale of the marginal of `N(0, s^2)` data at noise-up time `t`.
    fn scale(s: f64, t: f64) -> f64 {
        (((1.0 - t) * s).powi(2) + t * t).sqrt()
    }

    /// `u(z, r, t) = z (1 - s_r / s_t) / (t - r)`: the exact average velocity of a 1-D Gaussian.
    struct AverageVelocity {
        s: f64,
    }

    /// `v(z, t) = z d ln s_t / dt`: its instantaneous velocity.
    struct Velocity {
        s: f64,
    }

    trait Linear {
        fn slope(&self, span: Span) -> f64;
    }

    impl Linear for AverageVelocity {
        fn slope(&self, span: Span) -> f64 {
            (1.0 - scale(self.s, span.to) / scale(self.s, span.from)) / (span.from - span.to)
        }
    }

    impl Linear for Velocity {
        fn slope(&self, span: Span) -> f64 {
            let t = span.from;
            (t - (1.0 - t) * self.s * self.s) / scale(self.s, t).powi(2)
        }
    }

    macro_rules! linear_field {
        ($name:ty) => {
            impl Field for $name {
                fn value(&self, x: &Tensor, span: Span) -> Result<Tensor> {
                    x * self.slope(span)
                }
            }
            impl DifferentiableField for $name {
                fn jvp(&self, x: &Tensor, span: Span, x_dot: &Tensor) -> Result<(Tensor, Tensor)> {
                    Ok((self.value(x, span)?, (x_dot * self.slope(span))?))
                }
                fn jacobian(&self, x: &Tensor, span: Span) -> Result<(Tensor, Tensor)> {
                    let slope = (x.ones_like()?.unsqueeze(2)? * self.slope(span))?;
                    Ok((self.value(x, span)?, slope))
                }
            }
        };
    }
    linear_field!(AverageVelocity);
    linear_field!(Velocity);

    /// Estimated entropy above that of the base.
    fn gain(field: &impl DifferentiableField, n_steps: usize, volume: Volume<'_>) -> Result<f64> {
        let z = Tensor::new(&[[0.7f32]], &Device::Cpu)?;
        let moved = transport(field, &z, Grid::downwards(n_steps), volume)?;
        let entropy = moved.entropy_from_noise()?.to_vec1::<f32>()?[0];
        Ok(f64::from(entropy) - standard_normal_entropy(1))
    }

    /// flame.md section 4.1: s, N, first order, exact log-determinant, instantaneous velocity.
    const TABLE: [(f64, usize, f64, f64, f64); 11] = [
        (0.2, 1, -0.800, -1.609, -1.000),
        (0.2, 2, -1.098, -1.609, -1.423),
        (0.2, 3, -1.237, -1.609, -1.612),
        (0.2, 5, -1.359, -1.609, -1.709),
        (0.2, 20, -1.535, -1.609, -1.654),
        (0.1, 1, -0.900, -2.303, -1.000),
        (0.1, 3, -1.529, -2.303, -1.772),
        (0.1, 20, -2.142, -2.303, -2.331),
        (0.5, 1, -0.500, -0.693, -1.000),
        (0.5, 3, -0.566, -0.693, -0.995),
        (0.5, 20, -0.670, -0.693, -0.742),
    ];

    #[test]
    fn gaussian_entropies_match_the_table() -> Result<()> {
        let probe = Tensor::new(&[[-1.0f32]], &Device::Cpu)?;
        for (s, n, first_order, exact, instantaneous) in TABLE {
            let average = AverageVelocity { s };
            let found = [
                (gain(&average, n, Volume::Trace)?, first_order),
                (gain(&average, n, Volume::Hutchinson(&probe))?, first_order),
                (gain(&average, n, Volume::LogDet)?, exact),
                (gain(&Velocity { s }, n, Volume::Trace)?, instantaneous),
            ];
            for (value, expected) in found {
                assert!(
                    (value - expected).abs() < 6e-4,
                    "s {s}, N {n}: {value} for {expected}"
                );
            }
        }
        Ok(())
    }

    #[test]
    fn second_order_is_that_of_the_logarithm() -> Result<()> {
        let probe = Tensor::new(&[[-1.0f32]], &Device::Cpu)?;
        for (s, n) in [(0.5, 1), (0.9, 2)] {
            let field = AverageVelocity { s };
            let steps = Grid::downwards(n).spans();
            let series = steps.map(|span| span.length() * field.slope(span));
            let expected: f64 = series.map(|x| x - 0.5 * x * x).sum();
            let found = gain(&field, n, Volume::SecondOrder(&probe))?;
            assert!((found - expected).abs() < 1e-6, "{found} for {expected}");
            let first = gain(&field, n, Volume::Hutchinson(&probe))?;
            assert!((found - s.ln()).abs() < (first - s.ln()).abs());
        }
        Ok(())
    }

    #[test]
    fn first_order_error_falls_with_steps() -> Result<()> {
        let field = AverageVelocity { s: 0.2 };
        let error =
            |n| Ok::<_, candle_core::Error>((gain(&field, n, Volume::Trace)? - 0.2f64.ln()).abs());
        let (coarse, fine) = (error(40)?, error(80)?);
        assert!(
            (coarse / fine - 2.0).abs() < 0.1,
            "order one: {coarse} / {fine}"
        );
        Ok(())
    }

    #[test]
    fn one_exact_step_carries_noise_to_data_and_its_density() -> Result<()> {
        let z = Tensor::new(&[[0.7f32], [-1.2]], &Device::Cpu)?;
        let moved = transport(
            &AverageVelocity { s: 0.2 },
            &z,
            Grid::downwards(1),
            Volume::LogDet,
        )?;
        let end = moved.end.to_vec2::<f32>()?;
        assert!((end[0][0] - 0.14).abs() < 1e-6 && (end[1][0] + 0.24).abs() < 1e-6);
        let log_prob = moved.log_prob_from_noise(&z)?.to_vec1::<f32>()?[1];
        let expected = -0.5 * 1.2f64.powi(2) - 0.5 * (2.0 * PI).ln() - 0.2f64.ln();
        assert!((f64::from(log_prob) - expected).abs() < 1e-5);
        Ok(())
    }
}
