//! Actions in the box: `a = tanh u`.

use std::f64::consts::LN_2;

use candle_core::{Result, Tensor};

/// `log(1 - tanh(u)^2) = 2 (log 2 - u - softplus(-2 u))`, stable for any `u`, of any shape.
///
/// # Errors
/// If the device fails.
pub fn log_tanh_slope(u: &Tensor) -> Result<Tensor> {
    let x = (u * -2.0)?;
    let softplus = (x.relu()? + (x.abs()?.neg()?.exp()? + 1.0)?.log()?)?;
    (u + softplus)?.affine(-2.0, 2.0 * LN_2)
}

/// `atanh(a)` with `a` kept `1e-6` away from the box's faces.
///
/// # Errors
/// If the device fails.
pub(crate) fn unsquash(act: &Tensor) -> Result<Tensor> {
    const INSIDE: f64 = 1.0 - 1e-6;
    let act = act.clamp(-INSIDE, INSIDE)?;
    (act.affine(1.0, 1.0)? / act.affine(-1.0, 1.0)?)?.log()? * 0.5
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn slope_of_tanh_is_stable_and_right() -> Result<()> {
        let u = Tensor::new(&[0.0f32, 0.5, -2.0, 40.0], &Device::Cpu)?;
        let found = log_tanh_slope(&u)?.to_vec1::<f32>()?;
        for (value, u) in found.iter().zip([0.0f64, 0.5, -2.0]) {
            assert!((f64::from(*value) - (1.0 - u.tanh().powi(2)).ln()).abs() < 1e-6);
        }
        assert!((found[3] - (2.0 * LN_2 as f32 - 80.0)).abs() < 1e-4);
        Ok(())
    }

    #[test]
    fn latents_of_actions_are_finite_on_the_faces() -> Result<()> {
        let u =
            unsquash(&Tensor::new(&[1.0f32, -1.0, 0.5, 0.0], &Device::Cpu)?)?.to_vec1::<f32>()?;
        assert!(
            (u[0] - 7.25).abs() < 0.1 && (u[1] + u[0]).abs() < 0.1,
            "{u:?}"
        );
        assert!((u[2] - 0.5f32.atanh()).abs() < 1e-6 && u[3] == 0.0);
        Ok(())
    }
}
