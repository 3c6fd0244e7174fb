//! The targets on a CUDA device.

use candle_core::backend::BackendStorage;
use candle_core::{CudaStorage, Layout, Result, Shape};

use crate::cuda::{Module, buffer, count, elements, launch, view};

const TARGETS: Module = Module {
    name: "advect_targets",
    ptx: include_str!(concat!(env!("OUT_DIR"), "/targets.ptx")),
};

type Operand<'a> = (&'a CudaStorage, &'a Layout);
type Output = Result<(CudaStorage, Shape)>;

pub(super) fn soft_value(q: Operand<'_>, log_prob: Operand<'_>, alpha: Operand<'_>) -> Output {
    let (device, shape) = (q.0.device().clone(), q.1.shape().clone());
    let (q, log_prob) = (view(q.0, q.1)?, view(log_prob.0, log_prob.1)?);
    let alpha = view(alpha.0, alpha.1)?;
    let (mut out, n) = (buffer(&device, q.len())?, count(q.len())?);
    launch!(device, TARGETS, "soft_value", elements(n); &q, &log_prob, &alpha, &mut out, &n);
    Ok((CudaStorage::wrap_cuda_slice(out, device), shape))
}

pub(super) fn td_target(
    reward: Operand<'_>,
    [terminated, value]: [Operand<'_>; 2],
    [scale, gamma]: [f32; 2],
) -> Output {
    let (device, shape) = (reward.0.device().clone(), reward.1.shape().clone());
    let reward = view(reward.0, reward.1)?;
    let (terminated, value) = (view(terminated.0, terminated.1)?, view(value.0, value.1)?);
    let (mut out, n) = (buffer(&device, reward.len())?, count(reward.len())?);
    launch!(device, TARGETS, "td_target", elements(n);
        &reward, &terminated, &value, &mut out, &scale, &gamma, &n);
    Ok((CudaStorage::wrap_cuda_slice(out, device), shape))
}
