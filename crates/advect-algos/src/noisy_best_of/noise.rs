//! Entropy of the exploration noise `N(0, std^2 I)`, which the temperature of SDAC, DPMD and FPMD keeps at a target.

use advect_flow::density::standard_normal_entropy;
use advect_kernels::scalars::Scalar;
use candle_core::Result;

/// `H = (d/2) log(2 pi e std^2)`, in nats.
///
/// With `std` in proportion to alpha, its gradient in `log alpha` is `d`; the temperature's step is
/// [`entropy_gradient`](advect_rl::temperature::entropy_gradient), `H - H_target`.
///
/// # Errors
/// If the device fails.
pub fn entropy(std: impl Into<Scalar>, d: usize) -> Result<Scalar> {
    std.into()
        .ln()?
        .affine(d as f64, standard_normal_entropy(d))
}

#[cfg(test)]
mod tests {
    use std::f64::consts::{E, PI};

    fn entropy(std: f64, d: usize) -> f64 {
        super::entropy(std, d).unwrap().read().unwrap()
    }

    #[test]
    fn entropy_is_that_of_the_density_and_rises_by_d_per_unit_of_log_alpha() {
        for (sigma, d) in [(0.5f64, 6), (0.098, 17), (0.06, 1)] {
            let expected = 0.5 * d as f64 * (2.0 * PI * E * sigma * sigma).ln();
            assert!((entropy(sigma, d) - expected).abs() < 1e-12 * expected.abs().max(1.0));
            let h = 1e-5f64;
            let rate = (entropy(sigma * h.exp(), d) - entropy(sigma * (-h).exp(), d)) / (2.0 * h);
            assert!((rate - d as f64).abs() < 1e-6 * d as f64, "{rate}");
        }
    }

    #[test]
    fn entropy_agrees_with_the_integral_of_the_density() {
        let sigma = 0.49;
        let width = 1e-4;
        let integrand = |i: i32| {
            let x = f64::from(i) * width;
            let log_p = -0.5 * (x / sigma).powi(2) - (sigma * (2.0 * PI).sqrt()).ln();
            -log_p.exp() * log_p * width
        };
        let integral: f64 = (-50_000..=50_000).map(integrand).sum();
        assert!((entropy(sigma, 1) - integral).abs() < 1e-6, "{integral}");
    }
}
