//! Actions with noise, kept in the box.

use advect_kernels::pointwise;
use candle_core::{Result, Tensor};

/// `clip(a + clip(std eps, -noise_clip, noise_clip), -1, 1)`, eq. (14): the target's action, and with an infinite `noise_clip` the behaviour's.
///
/// # Shapes
/// `act` and the standard normals `eps` `[B, d]` to `[B, d]`.
///
/// # Errors
/// On a shape mismatch.
///
/// ```
/// use candle_core::{Device, Tensor};
/// let act = Tensor::new(&[[0.5f32, 0.9, 0.0]], &Device::Cpu)?;
/// let eps = Tensor::new(&[[1f32, 1.0, -9.0]], &Device::Cpu)?;
/// let found = advect_algos::td3::smoothing::noisy(&act, &eps, 0.2, 0.5)?.to_vec2::<f32>()?;
/// assert_eq!(found, [[0.7, 1.0, -0.5]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn noisy(act: &Tensor, eps: &Tensor, std: f64, noise_clip: f64) -> Result<Tensor> {
    let noise = pointwise::clamp(&(eps * std)?, -noise_clip, noise_clip)?;
    pointwise::clamp(&(act + noise)?, -1.0, 1.0)
}
