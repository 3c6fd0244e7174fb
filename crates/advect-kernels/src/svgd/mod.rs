//! Stein variational gradient descent: the direction in which particles move towards a density known by its score.
#![allow(unsafe_code)] // the kernel is generic over vector instructions

#[cfg(feature = "cuda")]
mod cuda;

use candle_core::{DType, Result, Tensor};
use rayon::prelude::*;

use crate::error::shape_error;
use crate::kernel_matrix::{
    Bandwidth, RadialKernel, Sizes, check_bandwidths, expect_points, median_rule,
};
use crate::simd::{Kernel, Simd, dispatch, math};

/// States that one task takes: small ones take microseconds each.
const STATES: usize = 32;
/// Distances whose median is found by counting.
const COUNTED: usize = 64;

/// The parts of an SVGD direction, all `[M, P, A]` but the bandwidth.
#[derive(Clone, Debug)]
pub struct Direction {
    /// `(attraction + weight repulsion) / R`.
    pub phi: Tensor,
    /// `sum_j k_ij g_j`.
    pub attraction: Tensor,
    /// `sum_j dk_ij/da_j`, before the weight.
    pub repulsion: Tensor,
    /// Bandwidth of every query, `[M, P]`.
    pub bandwidth: Tensor,
}

/// The SVGD direction at queries `y` from particles `a` with gradients `g` of the log-density (or of a value) at them.
///
/// ```text
/// phi_i = 1/R sum_j [ k(y_i, a_j) g_j + w_i dk(y_i, a_j)/da_j ]
/// ```
///
/// `weight` is `w [M, P]` (1 where `None`): a temperature, or a sign per query. The bandwidth is a constant; no gradient flows.
/// Everything happens in one pass over the states, in f32 and without a matrix that leaves the cache, with the same bits for any number
/// of threads.
///
/// Source: Liu and Wang 2016, eq. 8.
///
/// # Shapes
/// `y [M, P, A]`, `a` and `g [M, R, A]`; the results are `[M, P, A]` f32.
///
/// # Errors
/// If the shapes disagree or a bandwidth is not positive.
pub fn direction(
    kernel: RadialKernel,
    y: &Tensor,
    a: &Tensor,
    g: &Tensor,
    bandwidth: &Bandwidth,
    weight: Option<&Tensor>,
) -> Result<Direction> {
    let sizes = expect_points("svgd::direction", y, a)?;
    check("g", g, a.dims())?;
    let queries = [sizes.m, sizes.p];
    let given = match bandwidth {
        Bandwidth::MedianPerQuery => None,
        other => {
            let h = other.resolve(y, a)?;
            check("h", &h, &queries)?;
            Some(h)
        }
    };
    if let Some(weight) = weight {
        check("weight", weight, &queries)?;
    }
    #[cfg(feature = "cuda")]
    if y.device().is_cuda() {
        if let Bandwidth::PerQuery(h) = bandwidth {
            check_bandwidths(read(h)?)?;
        }
        let weight = weight.map_or_else(
            || Tensor::ones(&queries, DType::F32, y.device()),
            |w| Ok(w.clone()),
        )?;
        let points = cuda::Points {
            y,
            a,
            g,
            weight: &weight,
            bandwidth: given.as_ref(),
        };
        return cuda::direction(kernel, &points, sizes);
    }
    on_host(kernel, [y, a, g], given.as_ref(), weight, sizes)
}

/// The direction from queries, particles and gradients, state by state.
fn on_host(
    kernel: RadialKernel,
    [y, a, g]: [&Tensor; 3],
    bandwidth: Option<&Tensor>,
    weight: Option<&Tensor>,
    sizes: Sizes,
) -> Result<Direction> {
    let positive = |h| check_bandwidths(read(h)?);
    let input = Input {
        kernel,
        y: read(y)?,
        a: read(a)?,
        g: read(g)?,
        bandwidth: bandwidth.map(positive).transpose()?,
        weight: weight.map_or_else(|| Ok(vec![1.0; sizes.m * sizes.p]), read)?,
        p: sizes.p,
        r: sizes.r,
        dim: sizes.dim,
    };
    let out = input.sums();
    let tensor = |values| Tensor::from_vec(values, (sizes.m, sizes.p, sizes.dim), y.device());
    Ok(Direction {
        phi: tensor(out.phi)?,
        attraction: tensor(out.attraction)?,
        repulsion: tensor(out.repulsion)?,
        bandwidth: Tensor::from_vec(out.bandwidth, (sizes.m, sizes.p), y.device())?,
    })
}

fn check(name: &'static str, tensor: &Tensor, expected: &[usize]) -> Result<()> {
    if tensor.dims() == expected {
        return Ok(());
    }
    Err(shape_error(
        "svgd::direction",
        name,
        tensor.dims(),
        format!("{expected:?}"),
    ))
}

fn read(x: &Tensor) -> Result<Vec<f32>> {
    x.detach().to_dtype(DType::F32)?.flatten_all()?.to_vec1()
}

/// Mean over the particles of the Euclidean norms of `g [M, R, A]`, clamped to `[0, limit]`: `[M]`.
///
/// # Errors
/// If `g` has another rank.
pub fn mean_norm(g: &Tensor, limit: f64) -> Result<Tensor> {
    g.sqr()?.sum(2)?.sqrt()?.mean(1)?.clamp(0.0, limit)
}

/// The points of all states on the host.
struct Input {
    kernel: RadialKernel,
    y: Vec<f32>,
    a: Vec<f32>,
    g: Vec<f32>,
    /// Of every query; `None` is the median rule.
    bandwidth: Option<Vec<f32>>,
    weight: Vec<f32>,
    /// Queries, particles and coordinates of a state.
    p: usize,
    r: usize,
    dim: usize,
}

/// The results of all states on the host.
struct Output {
    phi: Vec<f32>,
    attraction: Vec<f32>,
    repulsion: Vec<f32>,
    bandwidth: Vec<f32>,
}

/// Those of some states.
struct Rows<'a> {
    phi: &'a mut [f32],
    attraction: &'a mut [f32],
    repulsion: &'a mut [f32],
    bandwidth: &'a mut [f32],
}

impl Input {
    /// All results, [`STATES`] states per task.
    fn sums(&self) -> Output {
        let (points, queries) = (self.y.len(), self.weight.len());
        let mut out = Output {
            phi: vec![0.0; points],
            attraction: vec![0.0; points],
            repulsion: vec![0.0; points],
            bandwidth: vec![0.0; queries],
        };
        if points == 0 {
            return out;
        }
        let width = STATES * self.p;
        let parts = out
            .phi
            .par_chunks_mut(width * self.dim)
            .zip(out.attraction.par_chunks_mut(width * self.dim))
            .zip(out.repulsion.par_chunks_mut(width * self.dim))
            .zip(out.bandwidth.par_chunks_mut(width));
        parts
            .enumerate()
            .for_each(|(task, (((phi, attraction), repulsion), bandwidth))| {
                dispatch(States {
                    input: self,
                    first: task * STATES,
                    out: Rows {
                        phi,
                        attraction,
                        repulsion,
                        bandwidth,
                    },
                });
            });
        out
    }
}

/// The states of one task.
struct States<'a> {
    input: &'a Input,
    /// Index of the first one.
    first: usize,
    out: Rows<'a>,
}

/// The particles of one state in whole vectors, zeros behind them, and what a query needs.
struct Scratch {
    /// Width of a row by particle, `A` rounded up.
    wide: usize,
    /// Particles by axis, `[A, R rounded up]`.
    by_axis: Vec<f32>,
    /// Particles and gradients, `[R, wide]`.
    a: Vec<f32>,
    g: Vec<f32>,
    /// The query and its sums, `[wide]`.
    y: Vec<f32>,
    pull: Vec<f32>,
    push: Vec<f32>,
    /// Squared distances, then kernel values, and slopes, `[R rounded up]`.
    k: Vec<f32>,
    slope: Vec<f32>,
    sorted: Vec<f32>,
}

impl Scratch {
    fn new(r: usize, dim: usize, lanes: usize) -> Self {
        let (wide, padded) = (dim.next_multiple_of(lanes), r.next_multiple_of(lanes));
        let zeros = |len| vec![0.0; len];
        Self {
            wide,
            by_axis: zeros(dim * padded),
            a: zeros(r * wide),
            g: zeros(r * wide),
            y: zeros(wide),
            pull: zeros(wide),
            push: zeros(wide),
            k: zeros(padded),
            slope: zeros(padded),
            sorted: zeros(r),
        }
    }

    /// Takes the particles of a state in.
    #[inline(always)]
    fn enter(&mut self, a: &[f32], g: &[f32], dim: usize) {
        let padded = self.k.len();
        let rows = a.chunks_exact(dim).zip(g.chunks_exact(dim));
        for (j, (a, g)) in rows.enumerate() {
            self.a[j * self.wide..][..dim].copy_from_slice(a);
            self.g[j * self.wide..][..dim].copy_from_slice(g);
            for (c, x) in a.iter().enumerate() {
                self.by_axis[c * padded + j] = *x;
            }
        }
    }
}

impl Kernel for States<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, simd: S) {
        let Input { p, r, dim, .. } = *self.input;
        let mut scratch = Scratch::new(r, dim, S::LANES);
        let Rows {
            phi,
            attraction,
            repulsion,
            bandwidth,
        } = self.out;
        let rows = phi
            .chunks_exact_mut(dim)
            .zip(attraction.chunks_exact_mut(dim))
            .zip(repulsion.chunks_exact_mut(dim))
            .zip(bandwidth);
        for (i, (((phi, attraction), repulsion), bandwidth)) in rows.enumerate() {
            let (state, query) = (self.first + i / p, self.first * p + i);
            if i % p == 0 {
                let particles = state * r * dim..(state + 1) * r * dim;
                let (a, g) = (&self.input.a[particles.clone()], &self.input.g[particles]);
                scratch.enter(a, g, dim);
            }
            let y = &self.input.y[query * dim..(query + 1) * dim];
            scratch.y[..dim].copy_from_slice(y);
            // SAFETY: the scratch rows are whole vectors, and `dispatch` knows the processor.
            unsafe {
                *bandwidth = self.input.weigh(simd, query, &mut scratch);
                add_up(simd, r, &mut scratch);
            }
            attraction.copy_from_slice(&scratch.pull[..dim]);
            repulsion.copy_from_slice(&scratch.push[..dim]);
            let w = self.input.weight[query];
            for (phi, (pull, push)) in phi.iter_mut().zip(attraction.iter().zip(&*repulsion)) {
                *phi = (pull + w * push) / r as f32;
            }
        }
    }
}

impl Input {
    /// Kernel values and slopes of the query in `scratch`; its bandwidth.
    ///
    /// # Safety
    /// The rows of `scratch` are whole vectors, and the processor has the instruction set.
    #[inline(always)]
    unsafe fn weigh<S: Simd>(&self, simd: S, query: usize, scratch: &mut Scratch) -> f32 {
        // SAFETY: as the caller promises.
        unsafe { squared_distances(simd, self.dim, scratch) };
        let h = match &self.bandwidth {
            Some(given) => given[query],
            None => {
                // SAFETY: as the caller promises.
                let median = unsafe { lower_median(simd, self.r, scratch) };
                median_rule(f64::from(median), self.r) as f32
            }
        };
        match self.kernel {
            // SAFETY: as the caller promises.
            RadialKernel::Rbf => unsafe { gaussian(simd, h, scratch) },
            RadialKernel::Imq => {
                for (slope, k) in scratch.slope.iter_mut().zip(&mut scratch.k) {
                    *k = (1.0 + *k / (2.0 * h)).sqrt().recip();
                    *slope = *k * *k * *k / (2.0 * h);
                }
            }
        }
        h
    }
}

/// `k_j = |y - a_j|^2`.
///
/// # Safety
/// As [`Input::weigh`].
#[inline(always)]
unsafe fn squared_distances<S: Simd>(s: S, dim: usize, scratch: &mut Scratch) {
    let padded = scratch.k.len();
    for j in (0..padded).step_by(S::LANES) {
        // SAFETY: `j` is the start of a whole vector in every row of `by_axis` and in `k`.
        unsafe {
            let mut sum = s.splat(0.0);
            for (c, y) in scratch.y[..dim].iter().enumerate() {
                let a = s.load(scratch.by_axis.as_ptr().add(c * padded + j));
                let off = s.sub(s.splat(*y), a);
                sum = s.fma(off, off, sum);
            }
            s.store(scratch.k.as_mut_ptr().add(j), sum);
        }
    }
}

/// `k_j <- exp(-k_j / (2 h))` and `slope_j = k_j / h`.
///
/// # Safety
/// As [`Input::weigh`].
#[inline(always)]
unsafe fn gaussian<S: Simd>(s: S, h: f32, scratch: &mut Scratch) {
    let rows = scratch.k.chunks_exact_mut(S::LANES);
    for (k, slope) in rows.zip(scratch.slope.chunks_exact_mut(S::LANES)) {
        // SAFETY: both are one vector long.
        unsafe {
            let exponent = s.mul(s.load(k.as_ptr()), s.splat(-0.5 / h));
            let value = math::exp(s, exponent);
            s.store(k.as_mut_ptr(), value);
            s.store(slope.as_mut_ptr(), s.mul(value, s.splat(h.recip())));
        }
    }
}

/// `pull = sum_j k_j g_j` and `push = sum_j slope_j (y - a_j)`.
///
/// # Safety
/// As [`Input::weigh`].
#[inline(always)]
unsafe fn add_up<S: Simd>(s: S, r: usize, scratch: &mut Scratch) {
    let wide = scratch.wide;
    for c in (0..wide).step_by(S::LANES) {
        // SAFETY: `c` is the start of a whole vector in every row.
        unsafe {
            let y = s.load(scratch.y.as_ptr().add(c));
            let (mut pull, mut push) = (s.splat(0.0), s.splat(0.0));
            for j in 0..r {
                let g = s.load(scratch.g.as_ptr().add(j * wide + c));
                let a = s.load(scratch.a.as_ptr().add(j * wide + c));
                pull = s.fma(s.splat(scratch.k[j]), g, pull);
                push = s.fma(s.splat(scratch.slope[j]), s.sub(y, a), push);
            }
            s.store(scratch.pull.as_mut_ptr().add(c), pull);
            s.store(scratch.push.as_mut_ptr().add(c), push);
        }
    }
}

/// Element `(R - 1) / 2` of the sorted `k_j`, none of which is negative: the largest of those above which at most as many lie. Up to
/// [`COUNTED`] values are compared with each other, which has no branch to predict.
///
/// # Safety
/// As [`Input::weigh`].
#[inline(always)]
unsafe fn lower_median<S: Simd>(s: S, r: usize, scratch: &mut Scratch) -> f32 {
    let middle = (r - 1) / 2;
    if r > COUNTED {
        let values = &mut scratch.sorted;
        values.copy_from_slice(&scratch.k[..r]);
        return *values.select_nth_unstable_by(middle, f32::total_cmp).1;
    }
    let rows = scratch.k.chunks_exact(S::LANES);
    for (k, kept) in rows.zip(scratch.slope.chunks_exact_mut(S::LANES)) {
        // SAFETY: both are one vector long.
        unsafe {
            let here = s.load(k.as_ptr());
            let mut smaller = s.splat(0.0);
            for other in &scratch.k[..r] {
                let above = s.sub(here, s.splat(*other));
                smaller = s.add(smaller, s.where_positive(above, s.splat(1.0)));
            }
            let low = s.sub(s.splat(middle as f32 + 0.5), smaller);
            s.store(kept.as_mut_ptr(), s.where_positive(low, here));
        }
    }
    scratch.slope[..r].iter().copied().fold(0.0, f32::max)
}

#[cfg(test)]
mod tests {
    use advect_rng::Stream;
    use candle_core::Device;

    use super::*;
    use crate::kernel_matrix::{contract_gradient, kernel_matrix, median_bandwidth};
    use crate::random;

    fn max_abs(x: &Tensor) -> Result<f32> {
        x.abs()?.max_all()?.to_scalar()
    }

    fn particles(count: usize, name: &str) -> Result<Tensor> {
        random::normal(&mut Stream::new(5, name), (2, count, 2), &Device::Cpu)
    }

    #[test]
    fn direction_is_the_kernel_matrix_times_scores_plus_the_contracted_gradient() -> Result<()> {
        let (y, a, g) = (particles(4, "y")?, particles(6, "a")?, particles(6, "g")?);
        let weight = random::uniform(&mut Stream::new(6, "w"), -1.0, 1.0, (2, 4), &Device::Cpu)?;
        for kernel in [RadialKernel::Rbf, RadialKernel::Imq] {
            let out = direction(
                kernel,
                &y,
                &a,
                &g,
                &Bandwidth::MedianPerQuery,
                Some(&weight),
            )?;
            let attraction = kernel_matrix(kernel, &y, &a, &out.bandwidth)?.matmul(&g)?;
            let repulsion = contract_gradient(kernel, &y, &a, &out.bandwidth, None)?;
            let phi = (&attraction + repulsion.broadcast_mul(&weight.unsqueeze(2)?)?)?
                .affine(1.0 / 6.0, 0.0)?;
            assert!(max_abs(&(attraction - &out.attraction)?)? < 1e-5);
            assert!(max_abs(&(repulsion - &out.repulsion)?)? < 1e-5);
            assert!(max_abs(&(phi - &out.phi)?)? < 1e-5);
        }
        Ok(())
    }

    /// Both ways to find the median agree with a sort, ties included.
    #[test]
    fn bandwidths_are_those_of_the_sorted_distances() -> Result<()> {
        for count in [1, 2, 7, 8, 40, 70] {
            let (y, a) = (particles(3, "y")?, particles(count, "a")?);
            let a = ((a * 2.0)?.round()? / 2.0)?;
            let median = Bandwidth::MedianPerQuery;
            let found = direction(RadialKernel::Rbf, &y, &a, &a, &median, None)?.bandwidth;
            let expected = median_bandwidth(&y, &a)?.1;
            let off = (found / expected)?.affine(1.0, -1.0)?;
            assert!(max_abs(&off)? < 1e-5, "{count} particles");
        }
        Ok(())
    }

    #[test]
    fn one_particle_follows_its_score() -> Result<()> {
        let (x, g) = (particles(1, "x")?, particles(1, "g")?);
        let out = direction(RadialKernel::Rbf, &x, &x, &g, &Bandwidth::Fixed(1.0), None)?;
        assert!(max_abs(&(out.phi - g)?)? < 1e-7);
        assert_eq!(max_abs(&out.repulsion)?, 0.0);
        Ok(())
    }

    /// Particles of a wrong Gaussian move to the target: mean and variances come out.
    #[test]
    fn particles_reach_a_gaussian() -> Result<()> {
        let device = Device::Cpu;
        let mean = Tensor::new(&[1.5f32, -0.5], &device)?;
        let precision = Tensor::new(&[1f32, 4.0], &device)?;
        for kernel in [RadialKernel::Rbf, RadialKernel::Imq] {
            let mut x = random::normal(&mut Stream::new(7, "gauss"), (1, 60, 2), &device)?
                .affine(0.5, 0.0)?;
            for _ in 0..400 {
                let score = x.broadcast_sub(&mean)?.broadcast_mul(&precision)?.neg()?;
                let out = direction(kernel, &x, &x, &score, &Bandwidth::MedianPerQuery, None)?;
                x = (x + out.phi.affine(0.3, 0.0)?)?;
            }
            let centre = x.mean(1)?;
            let spread = x
                .broadcast_sub(&centre.unsqueeze(1)?)?
                .sqr()?
                .mean(1)?
                .to_vec2::<f32>()?;
            assert!(
                max_abs(&centre.broadcast_sub(&mean)?)? < 0.05,
                "{kernel:?}: mean {centre}"
            );
            assert!(
                (spread[0][0] - 1.0).abs() < 0.25,
                "{kernel:?}: variance {}",
                spread[0][0]
            );
            assert!(
                (spread[0][1] - 0.25).abs() < 0.08,
                "{kernel:?}: variance {}",
                spread[0][1]
            );
        }
        Ok(())
    }

    #[test]
    fn mean_norm_is_clamped_and_shapes_are_checked() -> Result<()> {
        let g = Tensor::new(&[[[3f32, 4.0], [0.0, 0.0]]], &Device::Cpu)?;
        assert_eq!(mean_norm(&g, 1e5)?.to_vec1::<f32>()?, [2.5]);
        assert_eq!(mean_norm(&g, 1.0)?.to_vec1::<f32>()?, [1.0]);
        let x = particles(3, "x")?;
        let error =
            direction(RadialKernel::Rbf, &x, &x, &g, &Bandwidth::Fixed(1.0), None).unwrap_err();
        assert!(error.to_string().contains("`g`"), "{error}");
        Ok(())
    }
}
