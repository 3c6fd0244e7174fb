//! Losses with their gradients: `[E, B]` values of the gradient, and the loss behind them.

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp2, CustomOp3, Layout, Result, Shape};

use super::arg_minimum;
#[cfg(feature = "cuda")]
use super::cuda;
use crate::params::f32_slice;

/// Of [`super::squared_error_with_gradient`].
pub(super) struct WithGradient;

impl CustomOp2 for WithGradient {
    fn name(&self) -> &'static str {
        "ensemble-squared-error-with-gradient"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        layout: &Layout,
        y: &CpuStorage,
        y_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, y) = (f32_slice(x, layout)?, f32_slice(y, y_layout)?);
        let (mut both, mut total) = (Vec::with_capacity(x.len() + 1), 0.0);
        let factor = 2.0 / y.len() as f32;
        for member in x.chunks_exact(y.len()) {
            let mut squares = 0.0;
            for (x, y) in member.iter().zip(y) {
                squares += f64::from((x - y) * (x - y));
                both.push(factor * (x - y));
            }
            total += squares / y.len() as f64;
        }
        both.push(total as f32);
        Ok((CpuStorage::F32(both), Shape::from(x.len() + 1)))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        layout: &Layout,
        y: &CudaStorage,
        y_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        cuda::squared_error_with_gradient((x, layout), (y, y_layout))
    }
}

/// Of [`super::pessimistic_loss`]; behind the loss its gradient in the penalty.
pub(super) struct Pessimistic;

impl CustomOp3 for Pessimistic {
    fn name(&self) -> &'static str {
        "ensemble-pessimistic-loss"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        layout: &Layout,
        penalty: &CpuStorage,
        penalty_layout: &Layout,
        alpha: &CpuStorage,
        alpha_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (x, columns) = (f32_slice(x, layout)?, layout.dims()[1]);
        let alpha = f32_slice(alpha, alpha_layout)?[0];
        let mut all = vec![0.0; x.len() + 1];
        let mut total = 0.0;
        for (b, penalty) in f32_slice(penalty, penalty_layout)?.iter().enumerate() {
            let least = arg_minimum(x, columns, b) * columns + b;
            all[least] = -1.0 / columns as f32;
            total += alpha * penalty - x[least];
        }
        all[x.len()] = total / columns as f32;
        all.resize(x.len() + 1 + columns, alpha / columns as f32);
        let len = all.len();
        Ok((CpuStorage::F32(all), Shape::from(len)))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        x: &CudaStorage,
        layout: &Layout,
        penalty: &CudaStorage,
        penalty_layout: &Layout,
        alpha: &CudaStorage,
        alpha_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let (penalty, alpha) = ((penalty, penalty_layout), (alpha, alpha_layout));
        cuda::pessimistic((x, layout), penalty, alpha)
    }
}
