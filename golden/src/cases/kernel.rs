//! `kernel.*` and `svgd.*`: kernel matrices, bandwidths and the SVGD direction.

use advect_kernels::kernel_matrix::{
    Bandwidth, RadialKernel, kernel_gradient, kernel_matrix, median_bandwidth,
    state_median_bandwidth,
};
use advect_kernels::svgd;
use candle_core::Tensor;

use crate::case::Case;
use crate::error::GoldenError;
use crate::outputs::Outputs;
use crate::registry::CaseFn;

type Result<T> = std::result::Result<T, GoldenError>;

/// The cases of this file.
pub const CASES: &[(&str, CaseFn)] = &[
    ("kernel.rbf", |case| matrix(case, RadialKernel::Rbf)),
    ("kernel.imq", |case| matrix(case, RadialKernel::Imq)),
    ("kernel.median", median),
    ("svgd.gaussian", gaussian),
];

fn matrix(case: &Case, kernel: RadialKernel) -> Result<Outputs> {
    let (y, a, h) = (case.input("y")?, case.input("a")?, case.input("h")?);
    Ok(Outputs::new()
        .with("k", kernel_matrix(kernel, &y, &a, &h)?)
        .with("grad_a", kernel_gradient(kernel, &y, &a, &h)?))
}

fn median(case: &Case) -> Result<Outputs> {
    let (y, a) = (case.input("y")?, case.input("a")?);
    let (median, h) = median_bandwidth(&y, &a)?;
    let h_global = state_median_bandwidth(&y, &a)?;
    Ok(Outputs::new()
        .with("median", median)
        .with("h", h)
        .with("h_global", h_global))
}

fn gaussian(case: &Case) -> Result<Outputs> {
    let kernel = match case.config::<String>("kernel")?.as_str() {
        "rbf" => RadialKernel::Rbf,
        "imq" => RadialKernel::Imq,
        other => return Err(GoldenError::unknown_choice("kernel", other)),
    };
    let phi = |x: &Tensor| -> Result<Tensor> {
        let bandwidth = Bandwidth::MedianPerQuery;
        Ok(svgd::direction(kernel, x, x, &score(case, x)?, &bandwidth, None)?.phi)
    };
    let start = case.input("x")?;
    let (steps, size): (usize, f64) = (case.config("n_steps")?, case.config("step")?);
    let mut x = start.clone();
    for _ in 0..steps {
        x = (&x + (phi(&x)? * size)?)?;
    }
    Ok(Outputs::new().with("phi", phi(&start)?).with("x_end", x))
}

/// The score −precision·(x − mean) of a Gaussian at `x` `[M, P, A]`.
fn score(case: &Case, x: &Tensor) -> Result<Tensor> {
    let centred = x.broadcast_sub(&case.input("mean")?)?.flatten_to(1)?;
    let score = centred.matmul(&case.input("precision")?.t()?)?.neg()?;
    Ok(score.reshape(x.shape())?)
}
