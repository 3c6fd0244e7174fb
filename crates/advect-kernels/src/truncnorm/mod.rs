//! Proposals of FLAME: actions from the Gaussian posterior of a noised action, truncated to the action box.

#[cfg(feature = "cuda")]
mod cuda;

use advect_rng::TruncatedNormal;
use candle_core::{DType, Result, Tensor};
use rayon::prelude::*;

use crate::error::{KernelError, shape_error};

/// Draws `K` actions in `[-1, 1]^d` and the noise that goes with them, for every noised action `z = c_a a + c_eps eps`.
///
/// Per coordinate `a ~ TruncNormal(z / c_a, c_eps / c_a, [-1, 1])` by inversion at the level `u` of the action: with
/// `lo = (-c_a - z) / c_eps`, `hi = (c_a - z) / c_eps` and `xi` the level-`u` quantile of a standard normal truncated to
/// `[lo, hi]`, `a = (z + c_eps xi) / c_a` and `eps = (z - c_a a) / c_eps = -xi`. Noise-up has `c_a = 1 - t`, `c_eps = t`,
/// data-up `c_a = tau`, `c_eps = 1 - tau`. Computed in f64, rounded to f32 at the end; the same bits for any number of threads.
///
/// Source: FLAME, eq. (3) in the form that draws the action first.
///
/// # Shapes
/// `z [B, d]`, `c_a [B]`, `c_eps [B]` (f32 or f64), `u [B, K, d]` in (0, 1); returns `(a, eps)`, both `[B, K, d]` f32.
///
/// # Errors
/// If the shapes disagree, a coefficient is not positive and finite, or a value of `z` is not finite; on a CUDA device, which is not
/// waited for, the latter two give NaN.
pub fn propose(z: &Tensor, c_a: &Tensor, c_eps: &Tensor, u: &Tensor) -> Result<(Tensor, Tensor)> {
    let shape = u
        .dims3()
        .map_err(|_| shape_error("propose", "u", u.dims(), "[B, K, d]"))?;
    let (rows, _, dim) = shape;
    check_shape("z", z, &[rows, dim])?;
    check_shape("c_a", c_a, &[rows])?;
    check_shape("c_eps", c_eps, &[rows])?;
    #[cfg(feature = "cuda")]
    if u.device().is_cuda() {
        return cuda::propose(z, c_a, c_eps, u);
    }
    let inputs = Inputs {
        z: &read(z)?,
        c_a: &read(c_a)?,
        c_eps: &read(c_eps)?,
        dim,
    };
    let levels = u.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>()?;
    let (mut a, mut eps) = (vec![0.0; levels.len()], vec![0.0; levels.len()]);
    propose_rows(&inputs, &levels, &mut a, &mut eps)?;
    let device = u.device();
    Ok((
        Tensor::from_vec(a, shape, device)?,
        Tensor::from_vec(eps, shape, device)?,
    ))
}

fn check_shape(name: &'static str, tensor: &Tensor, expected: &[usize]) -> Result<()> {
    if tensor.dims() == expected {
        return Ok(());
    }
    Err(shape_error(
        "propose",
        name,
        tensor.dims(),
        format!("{expected:?} to match `u`"),
    ))
}

fn read(tensor: &Tensor) -> Result<Vec<f64>> {
    tensor.to_dtype(DType::F64)?.flatten_all()?.to_vec1()
}

/// The noised actions `[B, d]` and their coefficients `[B]`.
struct Inputs<'a> {
    z: &'a [f64],
    c_a: &'a [f64],
    c_eps: &'a [f64],
    dim: usize,
}

/// One row: `z [d]` and its two coefficients.
struct Row<'a> {
    z: &'a [f64],
    c_a: f64,
    c_eps: f64,
}

/// One coordinate of a row, prepared for its `K` levels.
#[derive(Clone, Copy)]
struct Coordinate {
    z: f64,
    law: TruncatedNormal,
}

/// All rows, on the thread pool; every row is computed by itself.
fn propose_rows(inputs: &Inputs, levels: &[f32], a: &mut [f32], eps: &mut [f32]) -> Result<()> {
    let width = levels.len().checked_div(inputs.c_a.len()).unwrap_or(0);
    if width == 0 {
        return Ok(());
    }
    let outputs = a.par_chunks_mut(width).zip(eps.par_chunks_mut(width));
    outputs
        .zip(levels.par_chunks(width))
        .enumerate()
        .try_for_each(|(b, ((a, eps), levels))| {
            let z = &inputs.z[b * inputs.dim..(b + 1) * inputs.dim];
            let row = Row {
                z,
                c_a: inputs.c_a[b],
                c_eps: inputs.c_eps[b],
            };
            let laws = row.prepare().map_err(|problem| row_error(b, problem))?;
            row.draw(&laws, levels, a, eps);
            Ok(())
        })
}

fn row_error(row: usize, problem: String) -> candle_core::Error {
    KernelError::Invalid {
        what: format!("propose, row {row}"),
        problem,
        fix: "keep the time strictly inside (0, 1) and z finite".into(),
    }
    .into()
}

impl Row<'_> {
    /// The truncated normal of every coordinate.
    fn prepare(&self) -> std::result::Result<Vec<Coordinate>, String> {
        let Self { z, c_a, c_eps } = *self;
        let positive = |c: f64| c > 0.0 && c.is_finite();
        if !positive(c_a) || !positive(c_eps) {
            return Err(format!("c_a = {c_a}, c_eps = {c_eps} must be positive"));
        }
        let coordinate = |&z: &f64| {
            let law = TruncatedNormal::new((-c_a - z) / c_eps, (c_a - z) / c_eps);
            law.map(|law| Coordinate { z, law })
                .map_err(|error| format!("z = {z}: {error}"))
        };
        z.iter().map(coordinate).collect()
    }

    /// Actions and noise at `levels [K, d]`.
    fn draw(&self, laws: &[Coordinate], levels: &[f32], a: &mut [f32], eps: &mut [f32]) {
        let dim = laws.len();
        let samples = a.chunks_exact_mut(dim).zip(eps.chunks_exact_mut(dim));
        for ((a, eps), u) in samples.zip(levels.chunks_exact(dim)) {
            for (i, Coordinate { z, law }) in laws.iter().enumerate() {
                let xi = law.quantile(f64::from(u[i]));
                a[i] = ((z + self.c_eps * xi) / self.c_a).clamp(-1.0, 1.0) as f32;
                eps[i] = -xi as f32;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use advect_rng::Stream;
    use advect_rng::special::log_normal_cdf;
    use candle_core::Device;

    use super::*;
    use crate::random;

    const ROWS: usize = 40;

    /// Times up to both ends, z of widely different size.
    fn inputs() -> Result<[Tensor; 4]> {
        let device = Device::Cpu;
        let mut stream = Stream::new(3, "proposals");
        let z = random::normal(&mut stream, (ROWS, 3), &device)?.affine(0.7, 0.0)?;
        let times: Vec<f64> = (0..ROWS)
            .map(|i| 0.001 + 0.9936 * i as f64 / (ROWS - 1) as f64)
            .collect();
        let t = Tensor::new(times, &device)?;
        let u = random::uniform(&mut stream, 0.0, 1.0, (ROWS, 50, 3), &device)?;
        Ok([z, t.affine(-1.0, 1.0)?, t, u])
    }

    #[test]
    fn actions_lie_in_the_box_and_noise_reproduces_z() -> Result<()> {
        let [z, c_a, c_eps, u] = inputs()?;
        let (a, eps) = propose(&z, &c_a, &c_eps, &u)?;
        let (a, eps) = (a.to_vec3::<f32>()?, eps.to_vec3::<f32>()?);
        let z = z.to_vec2::<f32>()?;
        let (c_a, c_eps) = (c_a.to_vec1::<f64>()?, c_eps.to_vec1::<f64>()?);
        for b in 0..ROWS {
            for (a, eps) in a[b].iter().zip(&eps[b]) {
                for i in 0..3 {
                    assert!(a[i].abs() <= 1.0);
                    let back = c_a[b] * f64::from(a[i]) + c_eps[b] * f64::from(eps[i]);
                    let scale = 1.0 + f64::from(z[b][i].abs());
                    assert!(
                        (back - f64::from(z[b][i])).abs() < 2e-7 * scale,
                        "row {b}: {back}"
                    );
                }
            }
        }
        Ok(())
    }

    /// The level of the action under its own law, from log tails, is the `u` that went in.
    #[test]
    fn levels_of_the_actions_come_back() -> Result<()> {
        let [z, c_a, c_eps, u] = inputs()?;
        let (_, eps) = propose(&z, &c_a, &c_eps, &u)?;
        let (eps, u, z) = (
            eps.to_vec3::<f32>()?,
            u.to_vec3::<f32>()?,
            z.to_vec2::<f32>()?,
        );
        let (c_a, c_eps) = (c_a.to_vec1::<f64>()?, c_eps.to_vec1::<f64>()?);
        let mut checked = 0;
        for (b, k, i) in (0..ROWS).flat_map(|b| (0..50 * 3).map(move |n| (b, n / 3, n % 3))) {
            let z = f64::from(z[b][i]);
            let (lo, hi) = ((-c_a[b] - z) / c_eps[b], (c_a[b] - z) / c_eps[b]);
            let xi = -f64::from(eps[b][k][i]);
            // Mirror so that the tail next to the interval is the lower one; f32 noise must resolve the level.
            let sign = if lo + hi > 0.0 { -1.0 } else { 1.0 };
            let near = if sign > 0.0 { hi } else { -lo };
            let far = if sign > 0.0 { lo } else { -hi };
            let share = |x: f64| (log_normal_cdf(x) - log_normal_cdf(near)).exp();
            let level = (share(sign * xi) - share(far)) / (1.0 - share(far));
            let level = if sign > 0.0 { level } else { 1.0 - level };
            let rounding = 1e-7 * xi.abs().max(0.01) * (xi.abs().max(1.0) + 2.0 / (hi - lo));
            if rounding < 1e-2 {
                let error = (level - f64::from(u[b][k][i])).abs();
                assert!(
                    error < 2.0 * rounding + 1e-6,
                    "row {b}: [{lo}, {hi}] {error:e}"
                );
                checked += 1;
            }
        }
        assert!(checked > ROWS * 100, "{checked} levels checked");
        Ok(())
    }

    #[test]
    fn thread_count_does_not_change_a_bit() -> Result<()> {
        let [z, c_a, c_eps, u] = inputs()?;
        let run = |threads: usize| -> Result<Vec<f32>> {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
            let (a, eps) = pool
                .map_err(candle_core::Error::wrap)?
                .install(|| propose(&z, &c_a, &c_eps, &u))?;
            Tensor::cat(&[a, eps], 0)?.flatten_all()?.to_vec1()
        };
        assert_eq!(run(1)?, run(3)?);
        Ok(())
    }

    #[test]
    fn bad_inputs_name_the_row_or_the_tensor() -> Result<()> {
        let [z, c_a, c_eps, u] = inputs()?;
        let zero = c_eps.affine(0.0, 0.0)?;
        let text = propose(&z, &c_a, &zero, &u).unwrap_err().to_string();
        assert!(text.contains("c_eps = 0"), "{text}");
        let nan = z.affine(f64::NAN, 0.0)?;
        assert!(propose(&nan, &c_a, &c_eps, &u).is_err());
        let text = propose(&z.t()?, &c_a, &c_eps, &u).unwrap_err().to_string();
        assert!(text.contains("`z`"), "{text}");
        Ok(())
    }
}
