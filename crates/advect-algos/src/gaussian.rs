//! Diagonal Gaussians.

use std::f64::consts::{E, PI};

use candle_core::{Result, Tensor};

/// `log N(x; mu, sigma)` of each coordinate at `z = (x - mu) / sigma`: `-z^2 / 2 - log sigma - log(2 pi) / 2`.
///
/// # Shapes
/// `z` `[B, d]`, `log_std` `[B, d]` or `[d]` to `[B, d]`.
///
/// # Errors
/// On a shape mismatch.
pub fn log_density(z: &Tensor, log_std: &Tensor) -> Result<Tensor> {
    let exponent = (z.sqr()? * -0.5)?;
    exponent
        .affine(1.0, -0.5 * (2.0 * PI).ln())?
        .broadcast_sub(log_std)
}

/// `log pi(a | s) = sum_i log N(a_i; mu_i, sigma_i)`.
///
/// # Shapes
/// `act` and `mean` `[B, d]`, `log_std` `[d]` to `[B]`.
///
/// # Errors
/// On a shape mismatch.
pub fn log_prob(act: &Tensor, mean: &Tensor, log_std: &Tensor) -> Result<Tensor> {
    let z = (act - mean)?.broadcast_div(&log_std.exp()?)?;
    log_density(&z, log_std)?.sum(1)
}

/// `H = sum_i (log sigma_i + log(2 pi e) / 2)`.
///
/// # Shapes
/// `log_std` `[d]` to a scalar.
///
/// # Errors
/// If the device fails.
pub fn entropy(log_std: &Tensor) -> Result<Tensor> {
    log_std.affine(1.0, 0.5 * (2.0 * PI * E).ln())?.sum_all()
}

/// `mu + sigma eps`.
///
/// # Shapes
/// `mean` and the standard normals `eps` `[B, d]`, `log_std` `[d]` to `[B, d]`.
///
/// # Errors
/// On a shape mismatch.
pub fn sample(mean: &Tensor, log_std: &Tensor, eps: &Tensor) -> Result<Tensor> {
    mean + eps.broadcast_mul(&log_std.exp()?)?
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn density_of_a_sample_is_that_of_its_noise() -> Result<()> {
        let device = Device::Cpu;
        let (mean, eps) = (
            Tensor::new(&[[1f32, -2.0]], &device)?,
            Tensor::new(&[[0.5f32, -1.5]], &device)?,
        );
        let log_std = Tensor::new(&[-1f32, 0.5], &device)?;
        let act = sample(&mean, &log_std, &eps)?;
        let found = log_prob(&act, &mean, &log_std)?.to_vec1::<f32>()?[0];
        let expected = -0.5 * (0.25 + 2.25) + 0.5 - (2.0 * PI).ln();
        assert!((f64::from(found) - expected).abs() < 1e-5);
        Ok(())
    }

    #[test]
    fn entropy_is_the_mean_of_minus_log_prob() -> Result<()> {
        let device = Device::Cpu;
        let log_std = Tensor::new(&[0.3f32], &device)?;
        // the mean square of these is 1
        let eps = Tensor::new(&[[1f32], [-1.0]], &device)?;
        let mean = Tensor::zeros((2, 1), candle_core::DType::F32, &device)?;
        let act = sample(&mean, &log_std, &eps)?;
        let found = log_prob(&act, &mean, &log_std)?.mean_all()?.neg()?;
        let error = (found - entropy(&log_std)?)?.abs()?.to_scalar::<f32>()?;
        assert!(error < 1e-6, "{error}");
        Ok(())
    }
}
