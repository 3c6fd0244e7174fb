//! The same on a CUDA device.

use candle_core::{Result, Tensor};

use crate::cuda::{Module, address, count, elements, filled, launch, warps};

const CANDIDATES: Module = Module {
    name: "advect_candidates",
    ptx: include_str!(concat!(env!("OUT_DIR"), "/candidates.ptx")),
};

/// Of contiguous scores `[E, B, K]` and candidates `[B, K, d]`.
pub(super) fn best(
    scores: &Tensor,
    candidates: &Tensor,
    bounds: Option<[f64; 2]>,
) -> Result<Tensor> {
    let (members, rows, k) = scores.dims3()?;
    let d = candidates.dim(2)?;
    filled(scores.device(), (rows, d), |device, out| {
        let [members, rows, k, d] = [count(members)?, count(rows)?, count(k)?, count(d)?];
        let [scores, candidates] = [address(scores)?, address(candidates)?];
        let [low, high] = bounds.map_or([f32::NEG_INFINITY, f32::INFINITY], |by| {
            by.map(|x| x as f32)
        });
        launch!(device, CANDIDATES, "best_candidate", warps(rows);
            &scores, &candidates, out, &low, &high, &members, &rows, &k, &d);
        Ok(())
    })
}

/// Of contiguous `[E, B, K]` and a temperature `[1]`.
pub(super) fn softmax(scores: &Tensor, temperature: &Tensor) -> Result<Tensor> {
    let (members, rows, k) = scores.dims3()?;
    filled(scores.device(), (rows, k), |device, out| {
        let [members, rows, k] = [count(members)?, count(rows)?, count(k)?];
        let [scores, temperature] = [address(scores)?, address(temperature)?];
        launch!(device, CANDIDATES, "softmax_rows", warps(rows);
            &scores, &temperature, out, &members, &rows, &k);
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

/// Of contiguous `[B, K]` and two of `[B, K, d]`.
pub(super) fn weighted_difference(weights: &Tensor, x: &Tensor, y: &Tensor) -> Result<Tensor> {
    let (rows, k, d) = x.dims3()?;
    filled(x.device(), (rows, d), |device, out| {
        let [n, k, d] = [count(rows * d)?, count(k)?, count(d)?];
        let [weights, x, y] = [address(weights)?, address(x)?, address(y)?];
        launch!(device, CANDIDATES, "weighted_difference", elements(n);
            &weights, &x, &y, out, &k, &d, &n);
        Ok(())
    })
}
