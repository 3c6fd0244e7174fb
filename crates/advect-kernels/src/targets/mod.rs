//! What critics learn towards: values of the next states, discounted.

#[cfg(feature = "cuda")]
mod cuda;

#[cfg(feature = "cuda")]
use candle_core::CudaStorage;
use candle_core::{CpuStorage, CustomOp3, DType, Layout, Result, Shape, Tensor};

use crate::error::shape_error;
use crate::params::f32_slice;
use crate::scalars::Scalar;

/// `V = Q - alpha log pi`: the value of a maximum-entropy policy from one action of it, without gradient.
///
/// # Shapes
/// `q` and `log_prob` `[B]`, f32, to `[B]`.
///
/// # Errors
/// On a shape mismatch.
pub fn soft_value(q: &Tensor, log_prob: &Tensor, alpha: &Scalar) -> Result<Tensor> {
    check("soft_value", &[("q", q), ("log_prob", log_prob)])?;
    let alpha = alpha.to_tensor(q.device())?.detach();
    let (q, log_prob) = (q.detach().contiguous()?, log_prob.detach().contiguous()?);
    q.apply_op3_no_bwd(&log_prob, &alpha, &SoftValue)
}

/// `y = scale r + gamma (1 - terminated) V`, without gradient.
///
/// # Shapes
/// All `[B]`, f32.
///
/// # Errors
/// On a shape mismatch.
///
/// ```
/// use advect_kernels::targets::td_target;
/// use candle_core::{Device, Tensor};
/// let column = |values: [f32; 2]| Tensor::new(&values, &Device::Cpu);
/// let (reward, terminated, value) = (column([1.0, 1.0])?, column([0.0, 1.0])?, column([10.0, 10.0])?);
/// let y = td_target(&reward, &terminated, &value, 2.0, 0.5)?;
/// assert_eq!(y.to_vec1::<f32>()?, [7.0, 2.0]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn td_target(
    reward: &Tensor,
    terminated: &Tensor,
    value: &Tensor,
    scale: f64,
    gamma: f64,
) -> Result<Tensor> {
    let columns = [
        ("reward", reward),
        ("terminated", terminated),
        ("value", value),
    ];
    check("td_target", &columns)?;
    let [reward, terminated, value] = columns.map(|(_, x)| x.detach().contiguous());
    let op = TdTarget {
        scale: scale as f32,
        gamma: gamma as f32,
    };
    reward?.apply_op3_no_bwd(&terminated?, &value?, &op)
}

fn check(op: &'static str, columns: &[(&'static str, &Tensor)]) -> Result<()> {
    let rows = columns[0].1.dims();
    for (name, x) in columns {
        if x.rank() != 1 || x.dims() != rows || x.dtype() != DType::F32 {
            let expected = format!("f32 {rows:?}, one axis (dtype here: {:?})", x.dtype());
            return Err(shape_error(op, name, x.dims(), expected));
        }
    }
    Ok(())
}

struct SoftValue;

impl CustomOp3 for SoftValue {
    fn name(&self) -> &'static str {
        "soft-value"
    }

    fn cpu_fwd(
        &self,
        q: &CpuStorage,
        q_layout: &Layout,
        log_prob: &CpuStorage,
        log_prob_layout: &Layout,
        alpha: &CpuStorage,
        alpha_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let (q, log_prob) = (
            f32_slice(q, q_layout)?,
            f32_slice(log_prob, log_prob_layout)?,
        );
        let alpha = f32_slice(alpha, alpha_layout)?[0];
        let values = q.iter().zip(log_prob).map(|(q, l)| q - alpha * l);
        Ok((CpuStorage::F32(values.collect()), q_layout.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        q: &CudaStorage,
        q_layout: &Layout,
        log_prob: &CudaStorage,
        log_prob_layout: &Layout,
        alpha: &CudaStorage,
        alpha_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let (log_prob, alpha) = ((log_prob, log_prob_layout), (alpha, alpha_layout));
        cuda::soft_value((q, q_layout), log_prob, alpha)
    }
}

struct TdTarget {
    scale: f32,
    gamma: f32,
}

impl CustomOp3 for TdTarget {
    fn name(&self) -> &'static str {
        "td-target"
    }

    fn cpu_fwd(
        &self,
        reward: &CpuStorage,
        reward_layout: &Layout,
        terminated: &CpuStorage,
        terminated_layout: &Layout,
        value: &CpuStorage,
        value_layout: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let Self { scale, gamma } = *self;
        let reward = f32_slice(reward, reward_layout)?.iter();
        let terminated = f32_slice(terminated, terminated_layout)?;
        let next = terminated.iter().zip(f32_slice(value, value_layout)?);
        let y = reward
            .zip(next)
            .map(|(r, (end, v))| scale * r + (gamma - gamma * end) * v);
        Ok((CpuStorage::F32(y.collect()), reward_layout.shape().clone()))
    }

    #[cfg(feature = "cuda")]
    fn cuda_fwd(
        &self,
        reward: &CudaStorage,
        reward_layout: &Layout,
        terminated: &CudaStorage,
        terminated_layout: &Layout,
        value: &CudaStorage,
        value_layout: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let rest = [(terminated, terminated_layout), (value, value_layout)];
        cuda::td_target((reward, reward_layout), rest, [self.scale, self.gamma])
    }
}
