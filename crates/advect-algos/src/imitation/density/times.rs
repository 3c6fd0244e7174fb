//! Flow times on a grid (fm_irl.md section 1.1).

use candle_core::{Device, Result, Tensor};

/// Antithetic times `t = concat(k, N - 1 - k) / N`: the second half mirrors the first, so that both together are spread evenly over the grid. The last
/// time is left out where `rows` is odd.
///
/// # Shapes
/// `k` holds `rows / 2` numbers below `grid`, rounded up; to `[rows]`.
///
/// # Errors
/// If the device fails.
pub fn antithetic(k: &[u32], grid: u32, rows: usize, device: &Device) -> Result<Tensor> {
    let mirrored = k.iter().map(|k| grid - 1 - k);
    let times = k.iter().copied().chain(mirrored);
    on_grid(times.take(rows), grid, device)
}

/// One time in each of `draws` equal parts of the grid for every row, from `u` in `[0, 1)`.
///
/// # Shapes
/// `u` `draws rows` numbers, a row's behind each other; to `[draws rows]`, a draw's behind each other.
///
/// # Errors
/// If the device fails.
pub fn stratified(u: &[f32], draws: usize, grid: u32, device: &Device) -> Result<Tensor> {
    let rows = u.len() / draws.max(1);
    let at = |draw: usize, row: usize| {
        let place = draw as f32 + u[row * draws + draw];
        let k = (place / draws as f32 * grid as f32) as u32;
        k.min(grid - 1)
    };
    let times = (0..draws).flat_map(|draw| (0..rows).map(move |row| at(draw, row)));
    on_grid(times, grid, device)
}

fn on_grid(k: impl Iterator<Item = u32>, grid: u32, device: &Device) -> Result<Tensor> {
    let times: Vec<f32> = k.map(|k| k as f32 / grid as f32).collect();
    let count = times.len();
    Tensor::from_vec(times, count, device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrored_times_sum_to_the_last_of_the_grid() -> Result<()> {
        let t = antithetic(&[0, 17, 99], 100, 6, &Device::Cpu)?.to_vec1::<f32>()?;
        for (a, b) in t[..3].iter().zip(&t[3..]) {
            assert!((a + b - 0.99).abs() < 1e-6, "{a} {b}");
        }
        let odd = antithetic(&[0, 17, 99], 100, 5, &Device::Cpu)?;
        assert_eq!(odd.to_vec1::<f32>()?, t[..5]);
        Ok(())
    }

    #[test]
    fn every_part_of_the_grid_gets_one_time() -> Result<()> {
        let u = [0.0, 0.999_999_94, 0.5, 0.25];
        let t = stratified(&u, 2, 100, &Device::Cpu)?.to_vec1::<f32>()?;
        assert_eq!(t, [0.0, 0.25, 0.99, 0.62]);
        Ok(())
    }
}
