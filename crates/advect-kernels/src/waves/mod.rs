//! Sines and cosines of a vector of times, in f64 up to the last step: a phase of `1000 t` in f32 has lost three digits
//! before the sine is taken.

#[cfg(feature = "cuda")]
mod cuda;

use candle_core::{DType, Result, Tensor};

use crate::error::shape_error;

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

/// A vector of times, and the rate at which they move where the derivative is wanted.
type Moved<'a> = (&'a Tensor, Option<f32>);

fn moved<'a>(times: &[&'a Tensor], rates: &[f64]) -> Result<Vec<Moved<'a>>> {
    if rates.len() != times.len() {
        let expected = format!("[{}], one for each vector of times", times.len());
        return Err(shape_error("Waves", "rates", &[rates.len()], expected));
    }
    let pairs = times.iter().zip(rates);
    Ok(pairs.map(|(t, rate)| (*t, Some(*rate as f32))).collect())
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
        self.values(&[t])?.squeeze(0)
    }

    /// The derivative of the features with respect to `t`, constants.
    ///
    /// # Shapes
    /// `t` `[B]`, f32, to `[B, dim]`.
    ///
    /// # Errors
    /// If `t` is no vector of f32.
    pub fn derivative(&self, t: &Tensor) -> Result<Tensor> {
        self.features(&moved(&[t], &[1.0])?)?.squeeze(0)
    }

    /// The features of several vectors of times, constants.
    ///
    /// # Shapes
    /// `times` `m` of `[B]`, f32, to `[m, B, dim]`.
    ///
    /// # Errors
    /// If there are none, or they are no vectors of f32 of one length.
    pub fn values(&self, times: &[&Tensor]) -> Result<Tensor> {
        let all: Vec<Moved> = times.iter().map(|t| (*t, None)).collect();
        self.features(&all)
    }

    /// [`Waves::values`] and behind them their derivatives where time `i` moves by `rates[i]`: `[2, m, B, dim]`.
    ///
    /// # Errors
    /// As [`Waves::values`], or if there are not as many rates.
    pub fn with_derivatives(&self, times: &[&Tensor], rates: &[f64]) -> Result<Tensor> {
        let still = times.iter().map(|t| (*t, None));
        let all: Vec<Moved> = still.chain(moved(times, rates)?).collect();
        let features = self.features(&all)?;
        let (_, rows, width) = features.dims3()?;
        features.reshape((2, times.len(), rows, width))
    }

    /// The features of each vector of times, or its derivatives.
    fn features(&self, times: &[Moved]) -> Result<Tensor> {
        let rows = times.first().map_or(0, |(t, _)| t.elem_count());
        let mut held = Vec::with_capacity(times.len());
        for (t, _) in times {
            if t.rank() != 1 || t.dtype() != DType::F32 || t.elem_count() != rows {
                let expected = format!("f32 [{rows}] (dtype here: {:?})", t.dtype());
                return Err(shape_error("Waves", "t", t.dims(), expected));
            }
            held.push(t.detach().contiguous()?);
        }
        let Some(first) = held.first() else {
            return Err(shape_error("Waves", "times", &[0], "at least one"));
        };
        let rates: Vec<Option<f32>> = times.iter().map(|(_, rate)| *rate).collect();
        #[cfg(feature = "cuda")]
        if first.device().is_cuda() {
            return cuda::features(self, &held, &rates);
        }
        let mut out = vec![0.0; held.len() * rows * self.dim()];
        let parts = out.chunks_exact_mut((rows * self.dim()).max(1));
        for ((t, rate), out) in held.iter().zip(rates).zip(parts) {
            for (t, row) in t
                .to_vec1()?
                .into_iter()
                .zip(out.chunks_exact_mut(self.dim()))
            {
                self.row(t, rate, row);
            }
        }
        Tensor::from_vec(out, (held.len(), rows, self.dim()), first.device())
    }

    /// The features of a time, or with a rate their derivatives times that.
    fn row(&self, t: f32, rate: Option<f32>, out: &mut [f32]) {
        let Self {
            frequencies,
            scale,
            with_time,
        } = self;
        let n = frequencies.len();
        for (j, w) in frequencies.iter().enumerate() {
            let (sin, cos) = (f64::from(t) * w).sin_cos();
            let (first, second) = match rate {
                None => (sin, cos),
                Some(_) => (cos * w, -(sin * w)),
            };
            let rate = rate.unwrap_or(1.0);
            out[j] = (first * scale) as f32 * rate;
            out[n + j] = (second * scale) as f32 * rate;
        }
        if *with_time {
            out[2 * n] = rate.unwrap_or(t);
        }
    }
}
