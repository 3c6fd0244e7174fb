//! Random tensors from named streams.
//!
//! A stream gives the same numbers whatever the device: they are drawn where they are used, or on the host.

#[cfg(feature = "cuda")]
pub(crate) mod cuda;

use advect_rng::Stream;
use candle_core::{Device, Result, Shape, Tensor, WithDType};
#[cfg(feature = "cuda")]
use cuda::Law;

/// Draws a tensor with `fill`, row-major.
fn draw<T: WithDType>(
    shape: Shape,
    device: &Device,
    fill: impl FnOnce(&mut [T]),
) -> Result<Tensor> {
    let mut values = vec![T::zero(); shape.elem_count()];
    fill(&mut values);
    Tensor::from_vec(values, shape, device)
}

/// Standard normals of any shape, f32.
///
/// # Errors
/// If the device cannot hold the tensor; the same holds for every function here.
pub fn normal(stream: &mut Stream, shape: impl Into<Shape>, device: &Device) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if device.is_cuda() {
        return cuda::draw(stream, Law::Normal, shape.into(), device);
    }
    draw(shape.into(), device, |out| stream.fill_normal(out))
}

/// Uniform on [low, high], f32.
///
/// # Errors
/// See [`normal`].
pub fn uniform(
    stream: &mut Stream,
    low: f32,
    high: f32,
    shape: impl Into<Shape>,
    device: &Device,
) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if device.is_cuda() {
        let width = high - low;
        return cuda::draw(stream, Law::Uniform { low, width }, shape.into(), device);
    }
    draw(shape.into(), device, |out| {
        stream.fill_uniform_range(low, high, out)
    })
}

/// Signs -1 and +1 with equal probability, f32: Hutchinson probes.
///
/// # Errors
/// See [`normal`].
pub fn rademacher(stream: &mut Stream, shape: impl Into<Shape>, device: &Device) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if device.is_cuda() {
        return cuda::draw(stream, Law::Rademacher, shape.into(), device);
    }
    draw(shape.into(), device, |out| stream.fill_rademacher(out))
}

/// Standard normals truncated to [low, high], f32; NaN where the bounds are no interval.
///
/// # Errors
/// See [`normal`].
pub fn truncated_standard_normal(
    stream: &mut Stream,
    low: f32,
    high: f32,
    shape: impl Into<Shape>,
    device: &Device,
) -> Result<Tensor> {
    draw(shape.into(), device, |out| {
        stream.fill_truncated_standard_normal(low, high, out)
    })
}

/// Indices on `0..n` with replacement, u32.
///
/// # Errors
/// See [`normal`].
pub fn indices(
    stream: &mut Stream,
    n: u32,
    shape: impl Into<Shape>,
    device: &Device,
) -> Result<Tensor> {
    #[cfg(feature = "cuda")]
    if device.is_cuda() {
        return cuda::draw(stream, Law::Indices(n), shape.into(), device);
    }
    draw(shape.into(), device, |out| stream.fill_indices(n, out))
}

/// A uniform permutation of `0..n` as a u32 tensor `[n]`.
///
/// # Errors
/// See [`normal`].
pub fn permutation(stream: &mut Stream, n: usize, device: &Device) -> Result<Tensor> {
    Tensor::from_vec(stream.permutation(n), n, device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tensors_hold_the_values_of_the_stream() -> Result<()> {
        let mut stream = Stream::new(1, "tensors");
        let mut expected = vec![0.0; 12];
        stream.clone().fill_normal(&mut expected);
        let x = normal(&mut stream, (3, 4), &Device::Cpu)?;
        assert_eq!(x.dims(), [3, 4]);
        assert_eq!(x.flatten_all()?.to_vec1::<f32>()?, expected);
        Ok(())
    }

    #[test]
    fn every_law_keeps_its_range() -> Result<()> {
        let mut stream = Stream::new(2, "ranges");
        let device = Device::Cpu;
        let u = uniform(&mut stream, -2.0, 5.0, (100, 3), &device)?;
        assert!(
            u.min_all()?.to_scalar::<f32>()? >= -2.0 && u.max_all()?.to_scalar::<f32>()? <= 5.0
        );
        let signs = rademacher(&mut stream, 100, &device)?;
        assert_eq!(signs.abs()?.sum_all()?.to_scalar::<f32>()?, 100.0);
        let x = truncated_standard_normal(&mut stream, 3.0, 4.0, 100, &device)?;
        assert!(x.min_all()?.to_scalar::<f32>()? >= 3.0);
        assert!(
            indices(&mut stream, 7, (4, 5), &device)?
                .max_all()?
                .to_scalar::<u32>()?
                < 7
        );
        let sum = permutation(&mut stream, 10, &device)?.sum_all()?;
        assert_eq!(sum.to_scalar::<u32>()?, 45);
        Ok(())
    }
}
