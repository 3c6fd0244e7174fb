//! A network at the times of a sampler: what depends on observations or times alone is computed once for all of them.

use advect_kernels::{Context, Precision, side_by_side};
use candle_core::{Result, Tensor};

use super::FlowNet;
use crate::error::expect_dims;

/// A network at given states and flow times, without gradient.
#[derive(Debug)]
pub(crate) struct AtTimes<'a, const T: usize> {
    net: &'a FlowNet<T>,
    trunk: Tensor,
    obs: Tensor,
    /// A row for each of the times: `[n, e]`, or of one alone `[T, 1, e]`.
    embedded: Vec<Tensor>,
}

impl<const T: usize> FlowNet<T> {
    /// The network at `n` times, each for all rows.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub(crate) fn at_times(
        &self,
        params: &Tensor,
        obs: &Tensor,
        times: &[[f64; T]],
    ) -> Result<AtTimes<'_, T>> {
        expect_dims("velocity network", "params", params, &[self.layout.len()])?;
        let (params, device) = (params.detach(), obs.device());
        let of = |input: usize| {
            let values: Vec<f32> = times.iter().map(|times| times[input] as f32).collect();
            Tensor::new(values, device)
        };
        let columns: Vec<Tensor> = (0..T).map(of).collect::<Result<_>>()?;
        let mut embedded = match times {
            [] => Vec::new(),
            _ => self.embed(&params, std::array::from_fn(|input| &columns[input]))?,
        };
        if times.len() > 1 && T > 1 {
            embedded = vec![side_by_side(&embedded.iter().collect::<Vec<_>>())?];
        }
        Ok(AtTimes {
            net: self,
            trunk: self.trunk_params(&params)?,
            obs: self.encode(&params, &obs.detach())?,
            embedded,
        })
    }
}

impl<const T: usize> AtTimes<'_, T> {
    /// The fields `f(z)` of several latents `[B, P, d]` per state at the times of number `i`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub(crate) fn candidates(&self, z: &Tensor, i: usize, precision: Precision) -> Result<Tensor> {
        let trunk = &self.net.trunk;
        self.around(i, |context| {
            trunk.forward_shared(&self.trunk, context, z, precision)
        })
    }

    /// `z + h f(z)`.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub(crate) fn step(
        &self,
        z: &Tensor,
        i: usize,
        h: f64,
        precision: Precision,
    ) -> Result<Tensor> {
        let trunk = &self.net.trunk;
        self.around(i, |context| {
            trunk.step_shared(&self.trunk, context, z, h, precision)
        })
    }

    fn around<O>(&self, i: usize, with: impl FnOnce(Context<'_>) -> Result<O>) -> Result<O> {
        let row = |embedded: &Tensor| embedded.narrow(embedded.rank() - 2, i, 1);
        let times: Vec<Tensor> = self.embedded.iter().map(row).collect::<Result<_>>()?;
        let [before, behind] = self
            .net
            .around(&self.obs, &times.iter().collect::<Vec<_>>());
        with(Context {
            before: &before,
            behind: &behind,
        })
    }
}
