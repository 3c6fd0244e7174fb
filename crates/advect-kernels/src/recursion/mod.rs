//! Recursions over the steps of several sequences, from the last step to the first.

#[cfg(feature = "cuda")]
mod cuda;

use candle_core::{DType, Result, Tensor};

use crate::error::shape_error;

/// ```text
/// y_t = x_t + gain [ (1 - mix) v'_t + mix y'_{t+1} ]
/// ```
///
/// with `v'_t = v_t` where that is kept and else 0, and `y'_{t+1} = y_{t+1}` where row `t` is joined to its sequence's next one; elsewhere,
/// and in the last step, it is `v'_t`. Sums run in f64.
///
/// Rows `[T J]` are those of the `J` sequences of a step behind each other, steps in their order.
///
/// ```
/// use advect_kernels::recursion::Recursion;
/// use candle_core::{Device, Tensor};
/// let rows = |values: [f32; 3]| Tensor::new(&values, &Device::Cpu);
/// let recursion = Recursion {
///     x: rows([1.0, 2.0, 4.0])?,
///     keep: rows([1.0, 0.0, 1.0])?,
///     joined: rows([1.0, 0.0, 1.0])?,
///     sequences: 1,
///     gain: 0.5,
///     mix: 1.0,
/// };
/// assert_eq!(recursion.of(&rows([9.0, 9.0, 8.0])?)?.to_vec1::<f32>()?, [2.0, 2.0, 8.0]);
/// # Ok::<(), candle_core::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct Recursion {
    /// Summands `x` `[T J]`, f32, like all of these.
    pub x: Tensor,
    /// 1 where a row's `v` is kept, else 0.
    pub keep: Tensor,
    /// 1 where a row is joined to the next one of its sequence, else 0.
    pub joined: Tensor,
    /// `J`.
    pub sequences: usize,
    /// Factor on what comes later.
    pub gain: f64,
    /// Share of `y` in it; the rest is `v`'s.
    pub mix: f64,
}

impl Recursion {
    /// `y` `[T J]` for `v` `[T J]`, without gradient.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn of(&self, v: &Tensor) -> Result<Tensor> {
        let (n, columns) = (self.x.elem_count(), self.sequences.max(1));
        let rows = [
            ("x", &self.x),
            ("keep", &self.keep),
            ("joined", &self.joined),
            ("v", v),
        ];
        for (name, tensor) in rows {
            if tensor.dims() != [n] || tensor.dtype() != DType::F32 || !n.is_multiple_of(columns) {
                let expected = format!("f32 [{n}], whole steps of {columns} sequences");
                return Err(shape_error("Recursion", name, tensor.dims(), expected));
            }
        }
        #[cfg(feature = "cuda")]
        if v.device().is_cuda() {
            return cuda::of(self, &v.detach().contiguous()?);
        }
        let [x, keep, joined, v] = rows.map(|(_, tensor)| tensor.to_vec1::<f32>());
        let (x, keep, joined, v) = (x?, keep?, joined?, v?);
        let mut y = vec![0.0f32; n];
        let mut later: Vec<Option<f64>> = vec![None; columns];
        for i in (0..n).rev() {
            let later = &mut later[i % columns];
            let next = if keep[i] > 0.0 { f64::from(v[i]) } else { 0.0 };
            let trace = later.filter(|_| joined[i] > 0.0).unwrap_or(next);
            let sum = (1.0 - self.mix) * next + self.mix * trace;
            let own = f64::from(x[i]) + self.gain * sum;
            *later = Some(own);
            y[i] = own as f32;
        }
        Tensor::from_vec(y, n, self.x.device())
    }
}
