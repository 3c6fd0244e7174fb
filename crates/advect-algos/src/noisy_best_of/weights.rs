//! Weights of mirror descent: how much an action counts, from its value against running moments.

use advect_kernels::scalars::Scalar;
use advect_rl::{StateDict, StateError};
use candle_core::{Device, Result, Tensor};
use serde::{Deserialize, Serialize};

/// Smallest deviation that a value is divided by.
const MIN_STD: f64 = 1e-6;

/// How a value becomes a score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ValueScore {
    /// `(Q - m) / sigma`: values are standardised.
    Standardised,
    /// `Q - m / sigma`, as the authors' code, whose operators bind in this order.
    RepoPrecedence,
}

/// Running mean and standard deviation of a batch's values; on a CUDA device they stay there, in f32.
#[derive(Debug, Clone)]
pub struct Moments {
    /// Mean, `m`.
    pub mean: Scalar,
    /// Standard deviation, `sigma`.
    pub std: Scalar,
}

impl Moments {
    /// Before the first batch: mean 0, deviation 1.
    ///
    /// # Errors
    /// If the device has no room.
    pub fn new(device: &Device) -> Result<Self> {
        Ok(Self {
            mean: Scalar::on(device, 0.0)?,
            std: Scalar::on(device, 1.0)?,
        })
    }

    /// Mean and deviation; waits for the device.
    ///
    /// # Errors
    /// If the device cannot be read.
    pub fn read(&self) -> Result<[f64; 2]> {
        Ok([self.mean.read()?, self.std.read()?])
    }

    /// `m <- m + rate (mean_b Q - m)` and the same for the batch's population standard deviation.
    ///
    /// # Shapes
    /// `q` `[B]`.
    ///
    /// # Errors
    /// If `q` is not a vector.
    pub fn observe(&mut self, q: &Tensor, rate: f64) -> Result<()> {
        let [mean, std] = match q.device().is_cuda() {
            true => on_device(q)?,
            false => on_host(&q.to_vec1()?).map(Scalar::Host),
        };
        self.mean.assign(self.mean.towards(&mean, rate)?)?;
        self.std.assign(self.std.towards(&std, rate)?)
    }

    /// The score of every value, any shape.
    ///
    /// # Errors
    /// If the device fails.
    pub fn score(&self, q: &Tensor, form: ValueScore) -> Result<Tensor> {
        let std = self.std.at_least(MIN_STD)?;
        if let (Scalar::Host(mean), Scalar::Host(std)) = (&self.mean, &std) {
            return match form {
                ValueScore::Standardised => q.affine(std.recip(), -mean / std),
                ValueScore::RepoPrecedence => q.affine(1.0, -mean / std),
            };
        }
        let (mean, std) = (self.mean.to_tensor(q.device())?, std.to_tensor(q.device())?);
        match form {
            ValueScore::Standardised => q.broadcast_sub(&mean)?.broadcast_div(&std),
            ValueScore::RepoPrecedence => q.broadcast_sub(&(mean / std)?),
        }
    }

    /// Writes both as `{prefix}/mean` and `{prefix}/std`.
    ///
    /// # Errors
    /// If the device cannot be read.
    pub fn save(&self, prefix: &str, out: &mut StateDict) -> std::result::Result<(), StateError> {
        let [mean, std] = self.read()?;
        out.put_scalar(format!("{prefix}/mean"), mean);
        out.put_scalar(format!("{prefix}/std"), std);
        Ok(())
    }

    /// Continues from what [`Moments::save`] wrote, on the device where they are.
    ///
    /// # Errors
    /// If an entry is missing or has another type.
    pub fn load(&mut self, prefix: &str, from: &StateDict) -> std::result::Result<(), StateError> {
        self.mean.set(from.scalar(&format!("{prefix}/mean"))?)?;
        self.std.set(from.scalar(&format!("{prefix}/std"))?)?;
        Ok(())
    }
}

/// Mean and population standard deviation.
fn on_host(q: &[f32]) -> [f64; 2] {
    let rows = q.len() as f64;
    let mean = q.iter().map(|q| f64::from(*q)).sum::<f64>() / rows;
    let squares = q.iter().map(|q| (f64::from(*q) - mean).powi(2));
    [mean, (squares.sum::<f64>() / rows).sqrt()]
}

fn on_device(q: &Tensor) -> Result<[Scalar; 2]> {
    let mean = q.mean_keepdim(0)?;
    let std = q.broadcast_sub(&mean)?.sqr()?.mean_keepdim(0)?.sqrt()?;
    Ok([mean, std].map(Scalar::Device))
}

/// `w = exp( clip(score, -clip, clip) / alpha )` (baselines.md sections 3 and 5); not normalised.
///
/// # Shapes
/// `score` `[B]` to `[B]`.
///
/// # Errors
/// If the device fails.
pub fn mirror_weights(score: &Tensor, clip: f64, alpha: impl Into<Scalar>) -> Result<Tensor> {
    alpha
        .into()
        .recip()?
        .times(&score.clamp(-clip, clip)?)?
        .exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    const Q: [f64; 5] = [-40.0, 3.0, 10.5, 12.0, 90.0];
    const MOMENTS: Moments = Moments {
        mean: Scalar::Host(8.0),
        std: Scalar::Host(2.5),
    };

    fn tensor() -> Result<Tensor> {
        Tensor::new(Q.map(|q| q as f32).as_slice(), &Device::Cpu)
    }

    fn assert_close(found: &Tensor, expected: impl Fn(f64) -> f64) -> Result<()> {
        for (found, q) in found.to_vec1::<f32>()?.into_iter().zip(Q) {
            let expected = expected(q);
            let error = (f64::from(found) - expected).abs();
            assert!(
                error < 2e-6 * expected.abs().max(1.0),
                "{found} for {expected}"
            );
        }
        Ok(())
    }

    #[test]
    fn weights_are_clipped_exponentials_of_standardised_values() -> Result<()> {
        let score = MOMENTS.score(&tensor()?, ValueScore::Standardised)?;
        let alpha = 0.7;
        assert_close(&mirror_weights(&score, 3.0, alpha)?, |q| {
            (((q - 8.0) / 2.5).clamp(-3.0, 3.0) / alpha).exp()
        })
    }

    #[test]
    fn the_authors_form_subtracts_a_quotient() -> Result<()> {
        let score = MOMENTS.score(&tensor()?, ValueScore::RepoPrecedence)?;
        assert_close(&score, |q| q - 8.0 / 2.5)?;
        let alpha = 5.0;
        assert_close(&mirror_weights(&score, 3.0, alpha)?, |q| {
            ((q - 8.0 / 2.5).clamp(-3.0, 3.0) / alpha).exp()
        })
    }

    /// Values in the hundreds, as late in training: the standardised form ranks them, the authors' form is at its clip.
    #[test]
    fn only_standardised_weights_tell_large_values_apart() -> Result<()> {
        let far = Moments {
            mean: Scalar::Host(408.0),
            ..MOMENTS
        };
        let q = (tensor()? + 400.0)?;
        let weights = |form| mirror_weights(&far.score(&q, form)?, 3.0, 1.0)?.to_vec1::<f32>();
        let near = mirror_weights(
            &MOMENTS.score(&tensor()?, ValueScore::Standardised)?,
            3.0,
            1.0,
        )?;
        for (far, near) in weights(ValueScore::Standardised)?
            .into_iter()
            .zip(near.to_vec1::<f32>()?)
        {
            assert!((far - near).abs() < 1e-4 * near);
        }
        assert_eq!(weights(ValueScore::RepoPrecedence)?, [3f32.exp(); 5]);
        Ok(())
    }

    #[test]
    fn moments_are_moving_averages_of_the_batch_moments() -> Result<()> {
        let mut moments = Moments::new(&Device::Cpu)?;
        let (mut mean, mut std) = (0.0, 1.0);
        let batch_mean = Q.iter().sum::<f64>() / 5.0;
        let batch_std = (Q.iter().map(|q| (q - batch_mean).powi(2)).sum::<f64>() / 5.0).sqrt();
        for _ in 0..3 {
            moments.observe(&tensor()?, 0.001)?;
            mean = 0.999 * mean + 0.001 * batch_mean;
            std = 0.999 * std + 0.001 * batch_std;
        }
        let [found, deviation] = moments.read()?;
        assert!((found - mean).abs() < 1e-9 && (deviation - std).abs() < 1e-9);
        Ok(())
    }

    #[test]
    fn equal_values_have_finite_weights_without_deviation() -> Result<()> {
        let moments = Moments {
            mean: Scalar::Host(1.0),
            std: Scalar::Host(0.0),
        };
        let q = Tensor::new(&[1f32, 2.0], &Device::Cpu)?;
        let score = moments.score(&q, ValueScore::Standardised)?;
        let weights = mirror_weights(&score, 3.0, 1.0)?.to_vec1::<f32>()?;
        assert!((weights[0] - 1.0).abs() < 0.1 && (weights[1] - 3f32.exp()).abs() < 1e-4);
        Ok(())
    }
}
