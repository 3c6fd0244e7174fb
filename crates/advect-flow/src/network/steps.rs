//! A network at the steps of a sampler: what depends on observations or times alone is computed once for all of them.

use advect_kernels::{Context, Precision, side_by_side};
use candle_core::{Result, Tensor};

use super::FlowNet;
use crate::error::expect_dims;

/// A network at given states and flow times, without gradient.
#[derive(Debug)]
pub(crate) struct AtSteps<'a, const T: usize> {
    net: &'a FlowNet<T>,
    trunk: Tensor,
    obs: Tensor,
    /// `[steps, e]`, or of one step `[T, 1, e]`.
    embedded: Vec<Tensor>,
}

impl<const T: usize> FlowNet<T> {
    /// The network at those times, each for all rows.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub(crate) fn at_steps(
        &self,
        params: &Tensor,
        obs: &Tensor,
        times: &[[f64; T]],
    ) -> Result<AtSteps<'_, T>> {
        expect_dims("velocity network", "params", params, &[self.layout.len()])?;
        let (params, device) = (params.detach(), obs.device());
        let of = |input: usize| {
            let values: Vec<f32> = times.iter().map(|times| times[input] as f32).collect();
            Tensor::new(values, device)
        };
        let times: Vec<Tensor> = (0..T).map(of).collect::<Result<_>>()?;
        let mut embedded = self.embed(&params, std::array::from_fn(|input| &times[input]))?;
        if times[0].elem_count() > 1 && T > 1 {
            embedded = vec![side_by_side(&embedded.iter().collect::<Vec<_>>())?];
        }
        Ok(AtSteps {
            net: self,
            trunk: self.trunk_params(&params)?,
            obs: self.encode(&params, &obs.detach())?,
            embedded,
        })
    }
}

impl<const T: usize> AtSteps<'_, T> {
    /// `z + h f(z)` of several latents `[B, P, d]` per state, with the field at the times of step `k`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub(crate) fn step(
        &self,
        z: &Tensor,
        k: usize,
        h: f64,
        precision: Precision,
    ) -> Result<Tensor> {
        let row = |embedded: &Tensor| embedded.narrow(embedded.rank() - 2, k, 1);
        let times: Vec<Tensor> = self.embedded.iter().map(row).collect::<Result<_>>()?;
        let [before, behind] = self
            .net
            .around(&self.obs, &times.iter().collect::<Vec<_>>());
        let context = Context {
            before: &before,
            behind: &behind,
        };
        self.net
            .trunk
            .step_shared(&self.trunk, context, z, h, precision)
    }
}
