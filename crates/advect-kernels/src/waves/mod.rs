//! Sines and cosines of a vector of times, in f64 up to the last step: a phase of `1000 t` in f32 has lost three digits
//! before the sine is taken.

#[cfg(feature = "cuda")]
mod cuda;

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp1, DType, Layout, Result, Shape, Tensor};

use crate::error::shape_error;
use crate::params::f32_slice;

/// `scale [sin(w_0 t), .., sin(w_n t), cos(w_0 t), .., cos(w_n t)]`, and `t` behind them if it is wanted.
///
/// ```
/// use advect_kernels::waves::Waves;
/// use candle_core::{Device, Tensor};
/// let waves = Waves { frequencies: vec![1.0, 2.0], scale: 1.0, with_time: true };
/// let t = Tensor::new(&[0f32], &Device::Cpu)?;
/// assert_eq!(waves.value(&t)?.to_vec2::<f32>()?, [[0.0, 0.0, 1.0, 1.0, 0.0]]);
/// assert_eq!(waves.derivative(&t)?.to_vec2::<f32>()?, [[1.0, 2.0, 0.0, 0.0, 1.0]]);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Waves {
    /// Angular frequencies `w`.
    pub frequencies: Vec<f64>,
    /// Factor on sines and cosines.
    pub scale: f64,
    /// Whether the last feature is `t` itself.
    pub with_time: bool,
}

impl Waves {
    /// Number of features.
    pub fn dim(&self) -> usize {
        2 * self.frequencies.len() + usize::from(self.with_time)
    }

    /// The features of every time, constants.
    ///
    /// # Shapes
    /// `t` `[B]`, f32, to `[B, dim]`.
    ///
    /// # Errors
    /// If `t` is no vector of f32.
    pub fn value(&self, t: &Tensor) -> Result<Tensor> {
        self.apply(t, Order::Value)
    }

    /// The derivative of the features with respect to `t`, constants.
    ///
    /// # Shapes
    /// `t` `[B]`, f32, to `[B, dim]`.
    ///
    /// # Errors
    /// If `t` is no vector of f32.
    pub fn derivative(&self, t: &Tensor) -> Result<Tensor> {
        self.apply(t, Order::Derivative)
    }

    fn apply(&self, t: &Tensor, order: Order) -> Result<Tensor> {
        if t.rank() != 1 || t.dtype() != DType::F32 {
            let expected = format!("f32 [B] (dtype here: {:?})", t.dtype());
            return Err(shape_error("Waves", "t", t.dims(), expected));
        }
        t.contiguous()?
            .apply_op1_no_bwd(&Features { waves: self, order })
    }
}

/// What is computed of a feature.
#[derive(Clone, Copy, PartialEq)]
enum Order {
    Value,
    Derivative,
}

struct Features<'a> {
    waves: &'a Waves,
    order: Order,
}

impl Features<'_> {
    fn row(&self, t: f32, out: &mut [f32]) {
        let Waves {
            frequencies,
            scale,
            with_time,
        } = self.waves;
        let n = frequencies.len();
        for (j, w) in frequencies.iter().enumerate() {
            let (sin, cos) = (f64::from(t) * w).sin_cos();
            let (first, second) = match self.order {
                Order::Value => (sin, cos),
                Order::Derivative => (cos * w, -(sin * w)),
            };
            out[j] = (first * scale) as f32;
            out[n + j] = (second * scale) as f32;
        }
        if *with_time {
            out[2 * n] = match self.order {
                Order::Value => t,
                Order::Derivative => 1.0,
            };
        }
    }
}

impl CustomOp1 for Features<'_> {
    fn name(&self) -> &'static str {
        "waves"
    }

    fn cpu_fwd(&self, t: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let (t, width) = (f32_slice(t, layout)?, self.waves.dim());
        let mut out = vec![0.0; t.len() * width];
        for (t, row) in t.iter().zip(out.chunks_exact_mut(width.max(1))) {
            self.row(*t, row);
        }
        Ok((CpuStorage::F32(out), Shape::from((t.len(), width))))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(&self, t: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        cuda::features(self, t, layout)
    }
}
