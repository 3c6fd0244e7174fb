//! The same on a CUDA device.

use candle_core::{Result, Tensor};

use crate::cuda::{Module, address, count, elements, filled, launch, warps};

const CANDIDATES: Module = Module {
    name: "advect_candidates",
    ptx: include_str!(concat!(env!("OUT_DIR"), "/candidates.ptx")),
};

/// Of contiguous scores `[E, B, K]` and candidates `[B, K, d]`.
pub(super) fn best(scores: &Tensor, candidates: &Tensor) -> Result<Tensor> {
    let (members, rows, k) = scores.dims3()?;
    let d = candidates.dim(2)?;
    filled(scores.device(), (rows, d), |device, out| {
        let [members, rows, k, d] = [count(members)?, count(rows)?, count(k)?, count(d)?];
        let [scores, candidates] = [address(scores)?, address(candidates)?];
        launch!(device, CANDIDATES, "best_candidate", warps(rows);
            &scores, &candidates, out, &members, &rows, &k, &d);
        Ok(())
    })
}

/// Of contiguous `[B, K]` and a temperature `[1]`.
pub(super) fn softmax(q: &Tensor, temperature: &Tensor) -> Result<Tensor> {
    let (rows, k) = q.dims2()?;
    filled(q.device(), (rows, k), |device, out| {
        let [rows, k] = [count(rows)?, count(k)?];
        let [q, temperature] = [address(q)?, address(temperature)?];
        launch!(device, CANDIDATES, "softmax_rows", warps(rows);
            &q, &temperature, out, &rows, &k);
        Ok(())
    })
}

/// Of contiguous `[B, K]`, a scalar.
pub(super) fn effective_fraction(weights: &Tensor) -> Result<Tensor> {
    let (rows, k) = weights.dims2()?;
    filled(weights.device(), (), |device, out| {
        let [rows, k] = [count(rows)?, count(k)?];
        let weights = address(weights)?;
        launch!(device, CANDIDATES, "effective_fraction", elements(1); &weights, out, &rows, &k);
        Ok(())
    })
}
