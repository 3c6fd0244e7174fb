//! The loss of the value network.

use candle_core::{Result, Tensor};

/// `0.5 mean max((V - R)^2, (V_old + clip(V - V_old, -c, c) - R)^2)`, or `0.5 mean (V - R)^2` without a clip.
///
/// # Shapes
/// `value`, `value_old` and `returns` `[B]` to a scalar.
///
/// # Errors
/// On a shape mismatch.
pub fn loss(
    value: &Tensor,
    value_old: &Tensor,
    returns: &Tensor,
    clip: Option<f64>,
) -> Result<Tensor> {
    let error = (value - returns)?.sqr()?;
    let error = match clip {
        None => error,
        Some(c) => {
            let near = (value_old + (value - value_old)?.clamp(-c, c)?)?;
            error.maximum(&(near - returns)?.sqr()?)?
        }
    };
    error.mean_all()? * 0.5
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    #[test]
    fn a_value_beyond_the_clip_has_no_gradient_towards_its_return() -> Result<()> {
        let device = Device::Cpu;
        let value = Var::new(&[1f32, 0.1], &device)?;
        let old = Tensor::zeros(2, candle_core::DType::F32, &device)?;
        let returns = Tensor::new(&[3f32, 3.0], &device)?;
        let loss = loss(value.as_tensor(), &old, &returns, Some(0.2))?;
        let expected = 0.5 * (2.8f32.powi(2) + 2.9f32.powi(2)) / 2.0;
        assert!((loss.to_scalar::<f32>()? - expected).abs() < 1e-5);
        let gradients = loss.backward()?;
        let gradient = gradients.get(&value).map(Tensor::to_vec1::<f32>);
        let gradient = gradient.transpose()?.unwrap_or_default();
        assert_eq!(gradient.len(), 2);
        assert_eq!(gradient[0], 0.0);
        assert!((gradient[1] + 1.45).abs() < 1e-5);
        Ok(())
    }
}
