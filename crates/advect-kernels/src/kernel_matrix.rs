//! Radial kernels between two sets of points, batched over states: RBF and inverse multiquadric, their gradients, and
//! bandwidths by the median rule.
//!
//! Everything is computed on the host in f64 and rounded once, one state per task, with the same bits for any number of
//! threads. Queries are `y [M, P, A]`, particles `a [M, R, A]`, bandwidths `h [M, P]`. No gradient flows through.

use candle_core::{DType, Result, Tensor};
use rayon::prelude::*;

use crate::error::{KernelError, shape_error};

/// A kernel of the squared distance `d = |y - a|^2` and the bandwidth `h`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RadialKernel {
    /// `k = exp(-d / (2 h))`.
    Rbf,
    /// Inverse multiquadric: `k = (1 + d / (2 h))^(-1/2)`.
    Imq,
}

impl RadialKernel {
    /// `(k, s)` with `dk/da = s (y - a)` and `dk/dy = -s (y - a)`.
    ///
    /// RBF: `s = k / h`; IMQ: `s = k^3 / (2 h)`.
    pub fn profile(self, squared_distance: f64, h: f64) -> (f64, f64) {
        match self {
            Self::Rbf => {
                let k = (-squared_distance / (2.0 * h)).exp();
                (k, k / h)
            }
            Self::Imq => {
                let k = (1.0 + squared_distance / (2.0 * h)).sqrt().recip();
                (k, k * k * k / (2.0 * h))
            }
        }
    }
}

/// Smallest bandwidth that the median rule gives.
pub const MIN_BANDWIDTH: f64 = 1e-8;

/// How the bandwidth of a query is found.
#[derive(Clone, Debug)]
pub enum Bandwidth {
    /// One value for all.
    Fixed(f64),
    /// The median rule over the particles of every query, see [`median_bandwidth`].
    MedianPerQuery,
    /// The median rule over all pairs of a state, see [`state_median_bandwidth`].
    MedianPerState,
    /// Given values `[M, P]`.
    PerQuery(Tensor),
}

impl Bandwidth {
    /// The bandwidth of every query, `[M, P]`.
    ///
    /// # Errors
    /// If the shapes disagree or a fixed bandwidth is not positive.
    pub fn resolve(&self, y: &Tensor, a: &Tensor) -> Result<Tensor> {
        let (m, p, _) = y.dims3()?;
        match self {
            Self::Fixed(h) if *h > 0.0 => Tensor::full(*h as f32, (m, p), y.device()),
            Self::Fixed(h) => Err(bad_bandwidth(format!("fixed bandwidth {h}"))),
            Self::MedianPerQuery => Ok(median_bandwidth(y, a)?.1),
            Self::MedianPerState => state_median_bandwidth(y, a)?.unsqueeze(1)?.repeat((1, p)),
            Self::PerQuery(h) => Ok(h.clone()),
        }
    }
}

fn bad_bandwidth(problem: String) -> candle_core::Error {
    let (what, fix) = (
        "kernel matrix".to_owned(),
        "take bandwidths above 0".to_owned(),
    );
    KernelError::Invalid { what, problem, fix }.into()
}

/// The points of all states on the host.
struct Points {
    y: Vec<f64>,
    a: Vec<f64>,
    sizes: Sizes,
}

/// The points of one state.
#[derive(Clone, Copy)]
struct StatePoints<'a> {
    /// Queries `[P, A]`.
    pub y: &'a [f64],
    /// Particles `[R, A]`.
    pub a: &'a [f64],
    /// Coordinates.
    pub dim: usize,
}

/// How many points there are.
#[derive(Clone, Copy)]
pub(crate) struct Sizes {
    /// States.
    pub m: usize,
    /// Queries per state.
    pub p: usize,
    /// Particles per state.
    pub r: usize,
    /// Coordinates.
    pub dim: usize,
}

/// The sizes of queries `[M, P, A]` and particles `[M, R, A]`.
pub(crate) fn expect_points(op: &'static str, y: &Tensor, a: &Tensor) -> Result<Sizes> {
    let rank3 = |name, x: &Tensor| {
        x.dims3()
            .map_err(|_| shape_error(op, name, x.dims(), "[states, points, coordinates]"))
    };
    let ((m, p, dim), (states, r, coordinates)) = (rank3("y", y)?, rank3("a", a)?);
    if (m, dim) != (states, coordinates) || r == 0 || dim == 0 {
        let expected = format!("[{m}, R, {dim}] with R > 0 to match `y`");
        return Err(shape_error(op, "a", a.dims(), expected));
    }
    Ok(Sizes { m, p, r, dim })
}

/// Bandwidths that are all positive.
pub(crate) fn check_bandwidths<T: PartialOrd + Default + std::fmt::Display>(
    values: Vec<T>,
) -> Result<Vec<T>> {
    // a NaN is not above 0 either
    match values
        .iter()
        .position(|h| h.partial_cmp(&T::default()) != Some(std::cmp::Ordering::Greater))
    {
        Some(i) => Err(bad_bandwidth(format!(
            "bandwidth {} of query {i}",
            values[i]
        ))),
        None => Ok(values),
    }
}

impl Points {
    fn read(op: &'static str, y: &Tensor, a: &Tensor) -> Result<Self> {
        let sizes = expect_points(op, y, a)?;
        let (y, a) = (read(y)?, read(a)?);
        Ok(Self { y, a, sizes })
    }

    fn state(&self, m: usize) -> StatePoints<'_> {
        let (queries, particles) = (self.sizes.p * self.sizes.dim, self.sizes.r * self.sizes.dim);
        StatePoints {
            y: &self.y[m * queries..(m + 1) * queries],
            a: &self.a[m * particles..(m + 1) * particles],
            dim: self.sizes.dim,
        }
    }

    /// Bandwidths `[M, P]` on the host, all positive.
    fn bandwidths(&self, op: &'static str, h: &Tensor) -> Result<Vec<f64>> {
        if h.dims() != [self.sizes.m, self.sizes.p] {
            let expected = format!("[{}, {}], one per query", self.sizes.m, self.sizes.p);
            return Err(shape_error(op, "h", h.dims(), expected));
        }
        check_bandwidths(read(h)?)
    }

    /// Fills `width` values per query, one state per task.
    fn map_queries(
        &self,
        width: usize,
        fill: impl Fn(StatePoints, usize, usize, &mut [f32]) + Sync,
    ) -> Vec<f32> {
        let mut out = vec![0.0; self.sizes.m * self.sizes.p * width];
        if !out.is_empty() {
            out.par_chunks_mut(self.sizes.p * width)
                .enumerate()
                .for_each(|(m, state_out)| {
                    for (i, row) in state_out.chunks_exact_mut(width).enumerate() {
                        fill(self.state(m), m * self.sizes.p + i, i, row);
                    }
                });
        }
        out
    }
}

fn read(x: &Tensor) -> Result<Vec<f64>> {
    x.detach().to_dtype(DType::F64)?.flatten_all()?.to_vec1()
}

impl<'a> StatePoints<'a> {
    fn query(&self, i: usize) -> &'a [f64] {
        &self.y[i * self.dim..(i + 1) * self.dim]
    }

    fn particles(&self) -> std::slice::ChunksExact<'a, f64> {
        self.a.chunks_exact(self.dim)
    }
}

fn squared_distance(x: &[f64], y: &[f64]) -> f64 {
    x.iter().zip(y).map(|(x, y)| (x - y) * (x - y)).sum()
}

/// The lower median: element `(n - 1) / 2` of the sorted values; NaN for none.
pub fn lower_median(values: &mut [f64]) -> f64 {
    if values.is_empty() {
        return f64::NAN;
    }
    let middle = (values.len() - 1) / 2;
    *values.select_nth_unstable_by(middle, f64::total_cmp).1
}

/// `max(median / (2 ln(R + 1)), 1e-8)`: with it the kernel row sums to about one beside the query itself.
///
/// Source: Liu and Wang 2016, section 5 (their `med^2 / log n`, with `R + 1`), for a kernel `exp(-d / (2 h))`.
pub fn median_rule(median: f64, particles: usize) -> f64 {
    (median / (2.0 * (particles as f64 + 1.0).ln())).max(MIN_BANDWIDTH)
}

/// `|y_i - a_j|^2`, `[M, P, R]` f32.
///
/// # Errors
/// If the shapes disagree.
pub fn squared_distances(y: &Tensor, a: &Tensor) -> Result<Tensor> {
    let points = Points::read("squared_distances", y, a)?;
    let out = points.map_queries(points.sizes.r, |state, _, i, row| {
        for (d, a) in row.iter_mut().zip(state.particles()) {
            *d = squared_distance(state.query(i), a) as f32;
        }
    });
    Tensor::from_vec(
        out,
        (points.sizes.m, points.sizes.p, points.sizes.r),
        y.device(),
    )
}

/// Lower median of the squared distances of every query and the bandwidth by [`median_rule`], both `[M, P]` f32.
///
/// # Errors
/// If the shapes disagree.
pub fn median_bandwidth(y: &Tensor, a: &Tensor) -> Result<(Tensor, Tensor)> {
    let points = Points::read("median_bandwidth", y, a)?;
    let out = points.map_queries(2, |state, _, i, row| {
        let mut d: Vec<f64> = state
            .particles()
            .map(|a| squared_distance(state.query(i), a))
            .collect();
        let median = lower_median(&mut d);
        row.copy_from_slice(&[median as f32, median_rule(median, d.len()) as f32]);
    });
    let both = Tensor::from_vec(out, (points.sizes.m, points.sizes.p, 2), y.device())?;
    let column = |c: usize| both.narrow(2, c, 1)?.squeeze(2)?.contiguous();
    Ok((column(0)?, column(1)?))
}

/// Bandwidth of every state: [`median_rule`] of the lower median over all its `P R` pairs, `[M]` f32.
///
/// # Errors
/// If the shapes disagree.
pub fn state_median_bandwidth(y: &Tensor, a: &Tensor) -> Result<Tensor> {
    let points = Points::read("state_median_bandwidth", y, a)?;
    let bandwidth = |m: usize| {
        let state = points.state(m);
        let rows = (0..points.sizes.p).map(|i| state.query(i));
        let mut d: Vec<f64> = rows
            .flat_map(|y| state.particles().map(|a| squared_distance(y, a)))
            .collect();
        median_rule(lower_median(&mut d), points.sizes.r) as f32
    };
    let out: Vec<f32> = (0..points.sizes.m).into_par_iter().map(bandwidth).collect();
    Tensor::from_vec(out, points.sizes.m, y.device())
}

/// The kernel matrix `k_ij = k(y_i, a_j)`, `[M, P, R]` f32.
///
/// # Errors
/// If the shapes disagree or a bandwidth is not positive.
pub fn kernel_matrix(kernel: RadialKernel, y: &Tensor, a: &Tensor, h: &Tensor) -> Result<Tensor> {
    let points = Points::read("kernel_matrix", y, a)?;
    let h = points.bandwidths("kernel_matrix", h)?;
    let out = points.map_queries(points.sizes.r, |state, query, i, row| {
        for (k, a) in row.iter_mut().zip(state.particles()) {
            *k = kernel
                .profile(squared_distance(state.query(i), a), h[query])
                .0 as f32;
        }
    });
    Tensor::from_vec(
        out,
        (points.sizes.m, points.sizes.p, points.sizes.r),
        y.device(),
    )
}

/// The full gradient `dk_ij/da_j`, `[M, P, R, A]` f32. For sums over `j` use [`contract_gradient`], which never forms it.
///
/// # Errors
/// If the shapes disagree or a bandwidth is not positive.
pub fn kernel_gradient(kernel: RadialKernel, y: &Tensor, a: &Tensor, h: &Tensor) -> Result<Tensor> {
    let points = Points::read("kernel_gradient", y, a)?;
    let h = points.bandwidths("kernel_gradient", h)?;
    let out = points.map_queries(points.sizes.r * points.sizes.dim, |state, query, i, row| {
        let y = state.query(i);
        for (out, a) in row.chunks_exact_mut(state.dim).zip(state.particles()) {
            let (_, slope) = kernel.profile(squared_distance(y, a), h[query]);
            for (out, (y, a)) in out.iter_mut().zip(y.iter().zip(a)) {
                *out = (slope * (y - a)) as f32;
            }
        }
    });
    Tensor::from_vec(
        out,
        (
            points.sizes.m,
            points.sizes.p,
            points.sizes.r,
            points.sizes.dim,
        ),
        y.device(),
    )
}

/// `sum_j w_ij dk_ij/da_j`, `[M, P, A]` f32, with `w [M, P, R]` (1 where `None`): the repulsion of SVGD.
///
/// # Errors
/// If the shapes disagree or a bandwidth is not positive.
pub fn contract_gradient(
    kernel: RadialKernel,
    y: &Tensor,
    a: &Tensor,
    h: &Tensor,
    weights: Option<&Tensor>,
) -> Result<Tensor> {
    let points = Points::read("contract_gradient", y, a)?;
    let h = points.bandwidths("contract_gradient", h)?;
    let weights = weights.map(|w| read_weights(&points, w)).transpose()?;
    let out = points.map_queries(points.sizes.dim, |state, query, i, row| {
        let weight = |j: usize| {
            weights
                .as_ref()
                .map_or(1.0, |w| w[query * points.sizes.r + j])
        };
        let mut sum = vec![0.0; state.dim];
        for (j, a) in state.particles().enumerate() {
            let (_, slope) = kernel.profile(squared_distance(state.query(i), a), h[query]);
            add_scaled_difference(&mut sum, weight(j) * slope, state.query(i), a);
        }
        row.iter_mut()
            .zip(&sum)
            .for_each(|(out, x)| *out = *x as f32);
    });
    Tensor::from_vec(
        out,
        (points.sizes.m, points.sizes.p, points.sizes.dim),
        y.device(),
    )
}

fn read_weights(points: &Points, weights: &Tensor) -> Result<Vec<f64>> {
    let expected = [points.sizes.m, points.sizes.p, points.sizes.r];
    if weights.dims() != expected {
        let found = weights.dims();
        return Err(shape_error(
            "contract_gradient",
            "weights",
            found,
            format!("{expected:?}"),
        ));
    }
    read(weights)
}

/// `sum += c (y - a)`.
fn add_scaled_difference(sum: &mut [f64], c: f64, y: &[f64], a: &[f64]) {
    for (sum, (y, a)) in sum.iter_mut().zip(y.iter().zip(a)) {
        *sum += c * (y - a);
    }
}

#[cfg(test)]
mod tests {
    use advect_rng::Stream;
    use candle_core::Device;

    use super::*;
    use crate::random;

    const KERNELS: [RadialKernel; 2] = [RadialKernel::Rbf, RadialKernel::Imq];

    fn points() -> Result<(Tensor, Tensor, Tensor)> {
        let mut stream = Stream::new(4, "points");
        let device = Device::Cpu;
        let y = random::normal(&mut stream, (3, 4, 2), &device)?;
        let a = random::normal(&mut stream, (3, 5, 2), &device)?;
        let h = random::uniform(&mut stream, 0.3, 2.0, (3, 4), &device)?;
        Ok((y, a, h))
    }

    #[test]
    fn slopes_match_central_differences() {
        for kernel in KERNELS {
            for (d, h) in [(0.3f64, 0.5), (2.0, 1.5), (4.0, 0.25)] {
                // Along the line y - a = x, dk/da = s x = -dk/dx.
                let x = d.sqrt();
                let k = |x: f64| kernel.profile(x * x, h).0;
                let step = 1e-6;
                let numeric = -(k(x + step) - k(x - step)) / (2.0 * step);
                let slope = kernel.profile(d, h).1 * x;
                assert!(
                    (numeric - slope).abs() < 1e-9,
                    "{kernel:?}: {numeric} and {slope}"
                );
            }
        }
    }

    #[test]
    fn tensor_gradient_matches_central_differences_of_the_matrix() -> Result<()> {
        let (y, a, h) = points()?;
        let (m, r, dim) = a.dims3()?;
        for kernel in KERNELS {
            let grad = kernel_gradient(kernel, &y, &a, &h)?;
            for axis in 0..dim {
                let unit: Vec<f32> = (0..dim)
                    .map(|i| if i == axis { 1.0 } else { 0.0 })
                    .collect();
                let shift = Tensor::new(unit, &Device::Cpu)?.affine(1e-2, 0.0)?;
                let shift = shift.broadcast_as((m, r, dim))?;
                let up = kernel_matrix(kernel, &y, &(&a + &shift)?, &h)?;
                let down = kernel_matrix(kernel, &y, &(&a - &shift)?, &h)?;
                let numeric = (up - down)?.affine(50.0, 0.0)?;
                let error = (grad.narrow(3, axis, 1)?.squeeze(3)? - numeric)?
                    .abs()?
                    .max_all()?;
                assert!(
                    error.to_scalar::<f32>()? < 2e-3,
                    "{kernel:?}, axis {axis}: {error}"
                );
            }
        }
        Ok(())
    }

    #[test]
    fn contraction_equals_the_weighted_sum_of_the_full_gradient() -> Result<()> {
        let (y, a, h) = points()?;
        let weights = kernel_matrix(RadialKernel::Imq, &y, &a, &h)?.affine(2.0, -0.7)?;
        for kernel in KERNELS {
            let full = kernel_gradient(kernel, &y, &a, &h)?;
            let plain = contract_gradient(kernel, &y, &a, &h, None)?;
            let weighted = contract_gradient(kernel, &y, &a, &h, Some(&weights))?;
            let expected = full.broadcast_mul(&weights.unsqueeze(3)?)?.sum(2)?;
            let error =
                |x: &Tensor, y: &Tensor| -> Result<f32> { (x - y)?.abs()?.max_all()?.to_scalar() };
            assert!(error(&plain, &full.sum(2)?)? < 1e-5);
            assert!(error(&weighted, &expected)? < 1e-5);
        }
        Ok(())
    }

    #[test]
    fn lower_medians_and_their_bandwidths() -> Result<()> {
        assert_eq!(lower_median(&mut [4.0, 1.0, 3.0, 2.0]), 2.0);
        assert_eq!(lower_median(&mut [9.0, 1.0, 5.0]), 5.0);
        assert!(lower_median(&mut []).is_nan());
        let device = Device::Cpu;
        let y = Tensor::new(&[[[0f32], [1.0]]], &device)?;
        let a = Tensor::new(&[[[0f32], [2.0], [3.0], [5.0]]], &device)?;
        // Squared distances: 0 4 9 25 and 1 1 4 16.
        let (median, h) = median_bandwidth(&y, &a)?;
        assert_eq!(median.to_vec2::<f32>()?, [[4.0, 1.0]]);
        let rule = |m: f64| (m / (2.0 * 5f64.ln())) as f32;
        assert_eq!(h.to_vec2::<f32>()?, [[rule(4.0), rule(1.0)]]);
        assert_eq!(
            state_median_bandwidth(&y, &a)?.to_vec1::<f32>()?,
            [rule(4.0)]
        );
        let (_, floor) = median_bandwidth(&a, &a.affine(0.0, 2.0)?.narrow(1, 1, 1)?)?;
        assert_eq!(floor.to_vec2::<f32>()?[0][1], MIN_BANDWIDTH as f32);
        Ok(())
    }

    #[test]
    fn bandwidth_modes_agree_where_they_should() -> Result<()> {
        let (y, a, h) = points()?;
        let per_query = Bandwidth::MedianPerQuery.resolve(&y, &a)?;
        assert_eq!(
            per_query.to_vec2::<f32>()?,
            median_bandwidth(&y, &a)?.1.to_vec2::<f32>()?
        );
        let per_state = Bandwidth::MedianPerState
            .resolve(&y, &a)?
            .to_vec2::<f32>()?;
        assert!(per_state.iter().all(|row| row.iter().all(|h| *h == row[0])));
        assert_eq!(
            Bandwidth::Fixed(0.5).resolve(&y, &a)?.to_vec2::<f32>()?,
            vec![vec![0.5; 4]; 3]
        );
        assert_eq!(Bandwidth::PerQuery(h.clone()).resolve(&y, &a)?.id(), h.id());
        assert!(Bandwidth::Fixed(0.0).resolve(&y, &a).is_err());
        Ok(())
    }

    #[test]
    fn kernels_are_one_at_distance_zero_and_distances_match() -> Result<()> {
        let (y, _, h) = points()?;
        for kernel in KERNELS {
            let k = kernel_matrix(kernel, &y, &y, &h)?.to_vec3::<f32>()?;
            assert!((0..3).all(|m| (0..4).all(|i| k[m][i][i] == 1.0)));
        }
        let d = squared_distances(&y, &y)?.to_vec3::<f32>()?;
        let points = y.to_vec3::<f32>()?;
        let expected: f32 = points[1][0]
            .iter()
            .zip(&points[1][3])
            .map(|(x, y)| (x - y).powi(2))
            .sum();
        assert!((d[1][0][3] - expected).abs() < 1e-6);
        Ok(())
    }

    #[test]
    fn wrong_shapes_and_bandwidths_are_refused() -> Result<()> {
        let (y, a, h) = points()?;
        let text = kernel_matrix(RadialKernel::Rbf, &y, &a, &h.t()?)
            .unwrap_err()
            .to_string();
        assert!(text.contains("`h`"), "{text}");
        let text = kernel_matrix(RadialKernel::Rbf, &y, &a, &h.affine(0.0, 0.0)?)
            .unwrap_err()
            .to_string();
        assert!(text.contains("above 0"), "{text}");
        let text = squared_distances(&y, &a.narrow(0, 0, 2)?)
            .unwrap_err()
            .to_string();
        assert!(text.contains("`a`"), "{text}");
        Ok(())
    }
}
