//! The same on a CUDA device.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CudaStorage, CustomOp1, CustomOp2, Layout, Result, Shape, Tensor};

use crate::cuda::{Module, buffer, count, elements, launch, view, warps};

const CANDIDATES: Module = Module {
    name: "advect_candidates",
    ptx: include_str!(concat!(env!("OUT_DIR"), "/candidates.ptx")),
};

/// Of contiguous scores `[E, B, K]` and candidates `[B, K, d]`.
pub(super) fn best(scores: &Tensor, candidates: &Tensor) -> Result<Tensor> {
    scores.apply_op2_no_bwd(candidates, &Op::Best)
}

/// Of contiguous `[B, K]` and a temperature `[1]`.
pub(super) fn softmax(q: &Tensor, temperature: &Tensor) -> Result<Tensor> {
    q.apply_op2_no_bwd(temperature, &Op::Softmax)
}

/// Of contiguous `[B, K]`, a scalar.
pub(super) fn effective_fraction(weights: &Tensor) -> Result<Tensor> {
    weights.apply_op1_no_bwd(&EffectiveFraction)
}

struct EffectiveFraction;

impl CustomOp1 for EffectiveFraction {
    fn name(&self) -> &'static str {
        "effective-fraction"
    }

    fn cpu_fwd(&self, _: &CpuStorage, _: &Layout) -> Result<(CpuStorage, Shape)> {
        let problem = "a host sums by candle's operations";
        Err(candle_core::Error::Msg(problem.into()))
    }

    fn cuda_fwd(&self, w: &CudaStorage, layout: &Layout) -> Result<(CudaStorage, Shape)> {
        let (device, (rows, k)) = (w.device().clone(), layout.shape().dims2()?);
        let (w, mut out) = (view(w, layout)?, buffer(&device, 1)?);
        let (rows, k) = (count(rows)?, count(k)?);
        launch!(device, CANDIDATES, "effective_fraction", elements(1); &w, &mut out, &rows, &k);
        Ok((CudaStorage::wrap_cuda_slice(out, device), ().into()))
    }
}

enum Op {
    Best,
    Softmax,
}

impl CustomOp2 for Op {
    fn name(&self) -> &'static str {
        "candidates"
    }

    fn cpu_fwd(
        &self,
        _: &CpuStorage,
        _: &Layout,
        _: &CpuStorage,
        _: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let problem = "a host computes candidates by candle's operations";
        Err(candle_core::Error::Msg(problem.into()))
    }

    fn cuda_fwd(
        &self,
        a: &CudaStorage,
        a_l: &Layout,
        b: &CudaStorage,
        b_l: &Layout,
    ) -> Result<(CudaStorage, Shape)> {
        let device = a.device().clone();
        let (values, other) = (view(a, a_l)?, view(b, b_l)?);
        let (out, shape) = match self {
            Self::Best => {
                let (members, rows, k) = a_l.shape().dims3()?;
                let d = b_l.dims()[2];
                let mut out = buffer(&device, rows * d)?;
                let shape = Shape::from((rows, d));
                let (members, rows, k, d) = (count(members)?, count(rows)?, count(k)?, count(d)?);
                launch!(device, CANDIDATES, "best_candidate", warps(rows);
                    &values, &other, &mut out, &members, &rows, &k, &d);
                (out, shape)
            }
            Self::Softmax => {
                let (rows, k) = a_l.shape().dims2()?;
                let mut out = buffer(&device, rows * k)?;
                let (rows, k) = (count(rows)?, count(k)?);
                launch!(device, CANDIDATES, "softmax_rows", warps(rows);
                    &values, &other, &mut out, &rows, &k);
                (out, a_l.shape().clone())
            }
        };
        Ok((CudaStorage::wrap_cuda_slice(out, device), shape))
    }
}
