//! Stein variational gradient descent: the direction in which particles move towards a density known by its score.

use candle_core::{Result, Tensor};
use rayon::prelude::*;

use crate::error::shape_error;
use crate::kernel_matrix::{
    Bandwidth, Points, RadialKernel, StatePoints, add_scaled_difference, read, squared_distance,
};

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
    let points = Points::read("svgd::direction", y, a)?;
    check("g", g, a.dims())?;
    let bandwidth = bandwidth.resolve(y, a)?;
    let h = points.bandwidths("svgd::direction", &bandwidth)?;
    let g = read(g)?;
    let w = match weight {
        Some(w) => {
            check("weight", w, &[points.m, points.p])?;
            read(w)?
        }
        None => vec![1.0; points.m * points.p],
    };
    let [phi, attraction, repulsion] = sums(&points, kernel, &g, &h, &w);
    let tensor = |values| Tensor::from_vec(values, (points.m, points.p, points.dim), y.device());
    Ok(Direction {
        phi: tensor(phi)?,
        attraction: tensor(attraction)?,
        repulsion: tensor(repulsion)?,
        bandwidth,
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

/// Mean over the particles of the Euclidean norms of `g [M, R, A]`, clamped to `[0, limit]`: `[M]`.
///
/// # Errors
/// If `g` has another rank.
pub fn mean_norm(g: &Tensor, limit: f64) -> Result<Tensor> {
    g.sqr()?.sum(2)?.sqrt()?.mean(1)?.clamp(0.0, limit)
}

/// `phi`, attraction and repulsion of all queries, one state per task.
fn sums(points: &Points, kernel: RadialKernel, g: &[f64], h: &[f64], w: &[f64]) -> [Vec<f32>; 3] {
    let width = points.p * points.dim;
    let [mut phi, mut attraction, mut repulsion] = [(); 3].map(|()| vec![0.0; points.m * width]);
    if width == 0 {
        return [phi, attraction, repulsion];
    }
    let parts = phi
        .par_chunks_mut(width)
        .zip(attraction.par_chunks_mut(width));
    parts
        .zip(repulsion.par_chunks_mut(width))
        .enumerate()
        .for_each(|(m, ((phi, att), rep))| {
            let particles = points.r * points.dim;
            let g = &g[m * particles..(m + 1) * particles];
            for i in 0..points.p {
                let (query, row) = (m * points.p + i, i * points.dim..(i + 1) * points.dim);
                let (pull, push) = query_sums(kernel, points.state(m), i, g, h[query]);
                for (c, n) in row.enumerate() {
                    att[n] = pull[c] as f32;
                    rep[n] = push[c] as f32;
                    phi[n] = ((pull[c] + w[query] * push[c]) / points.r as f64) as f32;
                }
            }
        });
    [phi, attraction, repulsion]
}

/// Attraction and repulsion of one query.
fn query_sums(
    kernel: RadialKernel,
    state: StatePoints,
    i: usize,
    g: &[f64],
    h: f64,
) -> (Vec<f64>, Vec<f64>) {
    let (mut pull, mut push) = (vec![0.0; state.dim], vec![0.0; state.dim]);
    let y = state.query(i);
    for (a, g) in state.particles().zip(g.chunks_exact(state.dim)) {
        let (k, slope) = kernel.profile(squared_distance(y, a), h);
        pull.iter_mut().zip(g).for_each(|(sum, g)| *sum += k * g);
        add_scaled_difference(&mut push, slope, y, a);
    }
    (pull, push)
}

#[cfg(test)]
mod tests {
    use advect_rng::Stream;
    use candle_core::Device;

    use super::*;
    use crate::kernel_matrix::{contract_gradient, kernel_matrix};
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
