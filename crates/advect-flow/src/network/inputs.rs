//! The trunk's input rows: encoded observation, latent and embedded times in the configured order.

use std::ops::Range;

use advect_kernels::side_by_side;
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

    /// Embedded times as parts of a row: `[rows, e]`, or `[1, e]` for a time that all rows share; several times of one shape together.
    pub(super) fn embed(&self, params: &Tensor, times: [&Tensor; T]) -> Result<Vec<Tensor>> {
        let embedding = &self.config.time;
        let alike = times
            .windows(2)
            .all(|pair| pair[0].dims() == pair[1].dims());
        if T > 1 && alike && embedding.is_batched() {
            let together = self.time_ranges[0].start..self.time_ranges[T - 1].end;
            return Ok(vec![
                embedding.forward_many(&slice(params, &together)?, &times)?,
            ]);
        }
        let embed =
            |(t, range): (&Tensor, &Range<usize>)| embedding.forward(&slice(params, range)?, t);
        times
            .into_iter()
            .zip(&self.time_ranges)
            .map(embed)
            .collect()
    }

    /// The trunk's input row in the configured order.
    pub(super) fn join(&self, obs: &Tensor, z: &Tensor, embedded: &[Tensor]) -> Result<Tensor> {
        side_by_side(&self.row(obs, z, &embedded.iter().collect::<Vec<_>>()))
    }

    /// Its parts.
    pub(super) fn row<'a>(
        &self,
        obs: &'a Tensor,
        z: &'a Tensor,
        embedded: &[&'a Tensor],
    ) -> Vec<&'a Tensor> {
        let [before, behind] = self.around(obs, embedded);
        [before, vec![z], behind].concat()
    }

    /// What stands in front of the latent and behind it.
    pub(super) fn around<'a>(&self, obs: &'a Tensor, times: &[&'a Tensor]) -> [Vec<&'a Tensor>; 2] {
        let (obs, times) = (vec![obs], times.to_vec());
        match self.config.order {
            InputOrder::ObsFirst => [obs, times],
            InputOrder::LatentFirst => [Vec::new(), [obs, times].concat()],
            InputOrder::LatentTimeObs => [Vec::new(), [times, obs].concat()],
        }
    }

    pub(super) fn input(
        &self,
        params: &Tensor,
        obs: &Tensor,
        z: &Tensor,
        times: [&Tensor; T],
    ) -> Result<Tensor> {
        self.check(params, obs, z)?;
        let embedded = self.embed(params, times)?;
        self.join(&self.encode(params, obs)?, z, &embedded)
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
        let (mut values, mut dots) = (Vec::new(), Vec::new());
        for ((t, range), rate) in times.iter().zip(&self.time_ranges).zip(tangent.times) {
            let (embedding, params) = (&self.config.time, slice(params, range)?);
            let (value, dot) = match rate {
                0.0 => {
                    let value = embedding.forward(&params, t)?;
                    let dot = value.zeros_like()?;
                    (value, dot)
                }
                1.0 => embedding.forward_with_dot(&params, t)?,
                rate => {
                    let (value, dot) = embedding.forward_with_dot(&params, t)?;
                    (value, (dot * rate)?)
                }
            };
            values.push(value);
            dots.push(dot);
        }
        Ok((
            self.join(&self.encode(params, obs)?, z, &values)?,
            self.join(&self.still_obs(obs)?, tangent.z, &dots)?,
        ))
    }
}
