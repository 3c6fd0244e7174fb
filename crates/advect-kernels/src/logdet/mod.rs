//! Determinants of many small matrices.

#[cfg(feature = "cuda")]
mod cuda;

use candle_core::{Device, Result, Tensor};
use rayon::prelude::*;

use crate::error::shape_error;

/// `log|det(I + h J)|` of every matrix `J`: `[B, d, d]` to `[B]`, without gradient.
///
/// LU with partial pivoting in f64, rows in parallel; each row's result is independent of the others.
///
/// ```
/// use candle_core::{Device, Tensor};
/// let j = Tensor::new(&[[[2f32, 0.0], [7.0, 4.0]]], &Device::Cpu)?;
/// let volume = advect_kernels::logdet::log_abs_det_step(&j, 0.5)?.to_vec1::<f32>()?;
/// assert!((volume[0] - 6f32.ln()).abs() < 1e-6);
/// # Ok::<(), candle_core::Error>(())
/// ```
///
/// # Errors
/// If they are no square matrices of f32.
pub fn log_abs_det_step(jacobians: &Tensor, h: f64) -> Result<Tensor> {
    let (rows, d, columns) = jacobians.dims3()?;
    if columns != d {
        let (found, expected) = (jacobians.dims(), format!("[{rows}, {d}, {d}]"));
        return Err(shape_error(
            "log_abs_det_step",
            "jacobians",
            found,
            expected,
        ));
    }
    #[cfg(feature = "cuda")]
    if jacobians.device().is_cuda() {
        return cuda::log_abs_det_step(jacobians, h);
    }
    let values: Vec<f32> = jacobians.flatten_all()?.to_vec1()?;
    let of_row = |j: &[f32]| {
        let mut matrix: Vec<f64> = j.iter().map(|&v| h * f64::from(v)).collect();
        let diagonal = matrix.iter_mut().step_by(d + 1);
        diagonal.for_each(|diagonal| *diagonal += 1.0);
        log_abs_det(&mut matrix, d) as f32
    };
    let volumes: Vec<f32> = values.par_chunks((d * d).max(1)).map(of_row).collect();
    Tensor::from_vec(volumes, rows, &Device::Cpu)
}

/// `log|det A|` of a row-major `d x d` matrix, which is overwritten by its elimination.
fn log_abs_det(a: &mut [f64], d: usize) -> f64 {
    let mut sum = 0.0;
    for k in 0..d {
        let pivot = (k..d)
            .max_by(|&i, &j| a[i * d + k].abs().total_cmp(&a[j * d + k].abs()))
            .unwrap_or(k);
        if pivot != k {
            (0..d).for_each(|c| a.swap(k * d + c, pivot * d + c));
        }
        let diagonal = a[k * d + k];
        sum += diagonal.abs().ln();
        if diagonal == 0.0 {
            return f64::NEG_INFINITY;
        }
        let (upper, lower) = a.split_at_mut((k + 1) * d);
        let pivot_row = &upper[k * d + k + 1..];
        for row in lower.chunks_exact_mut(d) {
            let factor = row[k] / diagonal;
            row[k + 1..]
                .iter_mut()
                .zip(pivot_row)
                .for_each(|(x, p)| *x -= factor * p);
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_determinant_matches_closed_forms() -> Result<()> {
        let device = Device::Cpu;
        // I + h J with J = [[0, 2], [3, 0]], h = 0.5: determinant 1 - 1.5 = -0.5; and a singular matrix.
        let j = Tensor::new(
            &[[[0.0f32, 2.0], [3.0, 0.0]], [[-2.0, 0.0], [5.0, 1.0]]],
            &device,
        )?;
        let found = log_abs_det_step(&j, 0.5)?.to_vec1::<f32>()?;
        assert!((found[0] - 0.5f32.ln()).abs() < 1e-6, "{found:?}");
        assert_eq!(found[1], f32::NEG_INFINITY);
        Ok(())
    }

    #[test]
    fn log_determinant_of_an_orthogonal_times_diagonal_matrix() -> Result<()> {
        // A Householder reflection (determinant -1) times a diagonal, d = 48.
        let d = 48usize;
        let u: Vec<f64> = (0..d).map(|i| (i as f64 * 0.37).sin()).collect();
        let norm: f64 = u.iter().map(|v| v * v).sum();
        let diagonal: Vec<f64> = (0..d).map(|i| 0.5 + 0.03 * i as f64).collect();
        let mut a = Vec::with_capacity(d * d);
        for i in 0..d {
            for (j, scale) in diagonal.iter().enumerate() {
                let identity = f64::from(u8::from(i == j));
                a.push((identity - 2.0 * u[i] * u[j] / norm) * scale);
            }
        }
        let expected: f64 = diagonal.iter().map(|v| v.ln()).sum();
        assert!((log_abs_det(&mut a, d) - expected).abs() < 1e-10);
        Ok(())
    }
}
