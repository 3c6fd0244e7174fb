//! The trunk's input rows: encoded observation, latent and embedded times in the configured order.

use std::ops::Range;

use candle_core::{Result, Tensor};

use super::{FlowNet, InputOrder, Tangent, slice};
use crate::error::expect_dims;

impl<const T: usize> FlowNet<T> {
    /// The observation as the trunk sees it, `[B, o']`.
    pub(super) fn encode(&self, params: &Tensor, obs: &Tensor) -> Result<Tensor> {
        match &self.cond {
            Some(cond) => cond.forward(&slice(params, &self.cond_range)?, obs),
            None => Ok(obs.clone()),
        }
    }

    /// The tangent of an encoded observation that is held.
    pub(super) fn still_obs(&self, obs: &Tensor) -> Result<Tensor> {
        let width = self.config.encoded_obs_dim();
        Tensor::zeros((obs.dim(0)?, width), obs.dtype(), obs.device())
    }

    /// Embedded times, each `[rows, e]`; a time of shape `[1]` is embedded once and repeated.
    pub(super) fn embed(
        &self,
        params: &Tensor,
        times: [&Tensor; T],
        rows: usize,
    ) -> Result<Vec<Tensor>> {
        let embed = |(t, range): (&Tensor, &Range<usize>)| {
            let embedding = self.config.time.forward(&slice(params, range)?, t)?;
            repeat_rows(&embedding, rows)
        };
        times
            .into_iter()
            .zip(&self.time_ranges)
            .map(embed)
            .collect()
    }

    /// The trunk's input row in the configured order; without `z`, the columns that the candidates of a state share.
    pub(super) fn join(&self, obs: &Tensor, z: &[&Tensor], embedded: &[Tensor]) -> Result<Tensor> {
        let (obs, z, times) = (vec![obs], z.to_vec(), embedded.iter().collect());
        let parts = match self.config.order {
            InputOrder::ObsFirst => [obs, z, times],
            InputOrder::LatentFirst => [z, obs, times],
            InputOrder::LatentTimeObs => [z, times, obs],
        };
        Tensor::cat(&parts.concat(), 1)
    }

    pub(super) fn input(
        &self,
        params: &Tensor,
        obs: &Tensor,
        z: &Tensor,
        times: [&Tensor; T],
    ) -> Result<Tensor> {
        self.check(params, obs, z)?;
        let embedded = self.embed(params, times, obs.dim(0)?)?;
        self.join(&self.encode(params, obs)?, &[z], &embedded)
    }

    /// Input row and its tangent, observation held.
    pub(super) fn input_with_dot(
        &self,
        params: &Tensor,
        obs: &Tensor,
        z: &Tensor,
        times: [&Tensor; T],
        tangent: Tangent<'_, T>,
    ) -> Result<(Tensor, Tensor)> {
        self.check(params, obs, z)?;
        expect_dims("velocity network", "z_dot", tangent.z, z.dims())?;
        let rows = obs.dim(0)?;
        let (mut values, mut dots) = (Vec::new(), Vec::new());
        for ((t, range), rate) in times.iter().zip(&self.time_ranges).zip(tangent.times) {
            let embedding = &self.config.time;
            let (value, dot) = embedding.forward_with_dot(&slice(params, range)?, t)?;
            values.push(repeat_rows(&value, rows)?);
            dots.push(repeat_rows(&(dot * rate)?, rows)?);
        }
        Ok((
            self.join(&self.encode(params, obs)?, &[z], &values)?,
            self.join(&self.still_obs(obs)?, &[tangent.z], &dots)?,
        ))
    }
}

fn repeat_rows(row: &Tensor, rows: usize) -> Result<Tensor> {
    match row.dims2()? {
        (1, width) => row.broadcast_as((rows, width)),
        _ => Ok(row.clone()),
    }
}
