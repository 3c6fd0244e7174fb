//! The clipped objective of the policy.

use candle_core::{DType, Result, Tensor};

/// `-mean min(rho A, clip(rho, 1 - clip, 1 + clip) A)` with `rho = exp(log_ratio)`, eq. (7) with the sign of a loss.
///
/// # Shapes
/// `log_ratio = log pi(a | s) - log pi_old(a | s)` and `advantage` `[B]` to a scalar.
///
/// # Errors
/// On a shape mismatch.
pub fn loss(log_ratio: &Tensor, advantage: &Tensor, clip: f64) -> Result<Tensor> {
    let ratio = log_ratio.exp()?;
    let clipped = ratio.clamp(1.0 - clip, 1.0 + clip)?;
    let least = (ratio * advantage)?.minimum(&(clipped * advantage)?)?;
    least.mean_all()?.neg()
}

/// `mean (rho - 1 - log rho)`: an estimate of `KL(pi_old | pi)` from actions of `pi_old` that is never negative.
///
/// # Shapes
/// `log_ratio` `[B]` to a scalar.
///
/// # Errors
/// If the device fails.
pub fn kl(log_ratio: &Tensor) -> Result<Tensor> {
    ((log_ratio.exp()? - 1.0)? - log_ratio)?.mean_all()
}

/// The part of the rows with `|rho - 1| > clip`.
///
/// # Shapes
/// `log_ratio` `[B]` to a scalar.
///
/// # Errors
/// If the device fails.
pub fn clip_fraction(log_ratio: &Tensor, clip: f64) -> Result<Tensor> {
    let apart = (log_ratio.exp()? - 1.0)?.abs()?;
    apart.gt(clip)?.to_dtype(DType::F32)?.mean_all()
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    /// Only moves that would raise the objective further than the clip allows lose their gradient.
    #[test]
    fn gradient_is_cut_on_the_far_side_only() -> Result<()> {
        let device = Device::Cpu;
        let ratio = [1.5f32, 1.5, 0.5, 0.5, 1.0];
        let log_ratio = Var::new(&ratio.map(f32::ln), &device)?;
        let advantage = Tensor::new(&[1f32, -1.0, 1.0, -1.0, 2.0], &device)?;
        let loss = loss(log_ratio.as_tensor(), &advantage, 0.2)?;
        let expected = -(1.2 - 1.5 + 0.5 - 0.8 + 2.0) / 5.0;
        assert!((loss.to_scalar::<f32>()? - expected).abs() < 1e-6);
        let gradients = loss.backward()?;
        let gradient = gradients.get(&log_ratio).map(Tensor::to_vec1::<f32>);
        // d rho / d log rho = rho; at rho = 1 both branches are equal
        let expected = [0.0, 1.5, -0.5, 0.0, -2.0].map(|g| g / 5.0);
        for (found, expected) in gradient
            .transpose()?
            .unwrap_or_default()
            .iter()
            .zip(expected)
        {
            assert!((found - expected).abs() < 1e-6, "{found} {expected}");
        }
        assert!(gradients.get(&log_ratio).is_some());
        Ok(())
    }

    #[test]
    fn diagnostics_are_zero_for_the_same_policy() -> Result<()> {
        let same = Tensor::zeros(4, DType::F32, &Device::Cpu)?;
        assert_eq!(kl(&same)?.to_scalar::<f32>()?, 0.0);
        assert_eq!(clip_fraction(&same, 0.2)?.to_scalar::<f32>()?, 0.0);
        let moved = Tensor::new(&[0.5f32, 0.1, -0.1, -0.5], &Device::Cpu)?;
        assert_eq!(clip_fraction(&moved, 0.2)?.to_scalar::<f32>()?, 0.5);
        // mean of cosh x - 1 for pairs +-x
        let expected = (0.5f32.cosh() + 0.1f32.cosh()) / 2.0 - 1.0;
        assert!((kl(&moved)?.to_scalar::<f32>()? - expected).abs() < 1e-6);
        Ok(())
    }
}
