//! Augmentation of pixel observations, on the device of the learner.

use advect_rng::Stream;
use candle_core::{Device, Result, Tensor};

/// Shifts each image of `[n, c, h, w]` by up to `pad` pixels in each direction, the same for its channels; edges are repeated:
///
/// ```text
/// out[n, c, y, x] = images[n, c, clamp(y + dy, 0, h - 1), clamp(x + dx, 0, w - 1)],    dy, dx ~ U{-pad, ..., pad}
/// ```
///
/// which is DrQ's augmentation (arXiv 2004.13649): pad by repeating the edge, crop at random; 84x84 frames are shifted by up to 4.
///
/// # Errors
/// If `images` does not have four dimensions, or what the device reports.
///
/// ```
/// use advect_rl::augment::random_shift;
/// use candle_core::{Device, Tensor};
/// let images = Tensor::arange(0f32, 48.0, &Device::Cpu)?.reshape((1, 3, 4, 4))?;
/// let mut stream = advect_rng::Stream::new(0, "augment");
/// assert_eq!(random_shift(&images, 1, &mut stream)?.dims(), [1, 3, 4, 4]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn random_shift(images: &Tensor, pad: usize, stream: &mut Stream) -> Result<Tensor> {
    let (n, c, h, w) = images.dims4()?;
    let mut shift = || (0..n).map(|_| draw(pad, stream)).collect();
    let (dy, dx): (Vec<i64>, Vec<i64>) = (shift(), shift());
    let rows = sources(&dy, h, images.device())?.reshape((n, h, 1))?;
    let columns = sources(&dx, w, images.device())?.reshape((n, 1, w))?;
    let width = Tensor::new(w as u32, images.device())?;
    let pixels = rows
        .broadcast_mul(&width)?
        .broadcast_add(&columns)?
        .reshape((n, 1, h * w))?
        .broadcast_as((n, c, h * w))?
        .contiguous()?;
    let flat = images.reshape((n, c, h * w))?;
    flat.gather(&pixels, 2)?.reshape((n, c, h, w))
}

fn draw(pad: usize, stream: &mut Stream) -> i64 {
    stream.below(2 * pad as u64 + 1) as i64 - pad as i64
}

/// Which of `length` pixels each one is taken from, clamped to the edge: `[n * length]`.
fn sources(shifts: &[i64], length: usize, device: &Device) -> Result<Tensor> {
    let last = length as i64 - 1;
    let sources: Vec<u32> = shifts
        .iter()
        .flat_map(|shift| (0..=last).map(move |at| (at + shift).clamp(0, last) as u32))
        .collect();
    let count = sources.len();
    Tensor::from_vec(sources, count, device)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The formula, pixel by pixel.
    fn shifted(image: &[f32], [h, w]: [i64; 2], [dy, dx]: [i64; 2]) -> Vec<f32> {
        let pixel = |y: i64, x: i64| {
            let (y, x) = ((y + dy).clamp(0, h - 1), (x + dx).clamp(0, w - 1));
            image[(y * w + x) as usize]
        };
        (0..h)
            .flat_map(|y| (0..w).map(move |x| (y, x)))
            .map(|(y, x)| pixel(y, x))
            .collect()
    }

    #[test]
    fn every_image_is_the_formula_for_one_shift_of_all_its_channels() {
        let (n, c, h, w, pad) = (64, 2, 5, 7, 2);
        let mut values = vec![0.0; n * c * h * w];
        Stream::new(3, "images").fill_uniform(&mut values);
        let images = Tensor::from_vec(values.clone(), (n, c, h, w), &Device::Cpu).unwrap();
        let out = random_shift(&images, pad, &mut Stream::new(4, "shift")).unwrap();
        let out: Vec<f32> = out.flatten_all().unwrap().to_vec1().unwrap();
        let size = h * w;
        let mut seen = std::collections::BTreeSet::new();
        for (index, image) in out.chunks_exact(c * size).enumerate() {
            let source = &values[index * c * size..(index + 1) * c * size];
            let all = (-2..=2).flat_map(|dy| (-2..=2).map(move |dx| [dy, dx]));
            let fits = |shift: &[i64; 2]| {
                let channels = source.chunks_exact(size).zip(image.chunks_exact(size));
                channels
                    .into_iter()
                    .all(|(a, b)| shifted(a, [h as i64, w as i64], *shift) == b)
            };
            let shift = all.into_iter().find(fits);
            seen.insert(shift.expect("no shift explains the image"));
        }
        assert!(seen.len() > 15, "only {} of 25 shifts", seen.len());
    }

    #[test]
    fn without_padding_nothing_moves() {
        let images = Tensor::arange(0f32, 24.0, &Device::Cpu).unwrap();
        let images = images.reshape((2, 1, 3, 4)).unwrap();
        let out = random_shift(&images, 0, &mut Stream::new(0, "shift")).unwrap();
        let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        assert_eq!(flat(&out), flat(&images));
    }
}
