//! The network as a function of its parameters alone: one backward pass into one flat gradient, without sums over slices of them.

use advect_kernels::{Pullback, attached, side_by_side, take_columns};
use candle_core::{Result, Tensor};

use super::{FlowNet, InputOrder, slice};

/// What leads from a cotangent of the trunk's input to parameters in front of the trunk.
struct Front {
    /// First column of the trunk's input, and the shape of these columns.
    first: usize,
    shape: Vec<usize>,
    pullback: Pullback,
}

impl Front {
    /// A row of the gradient in its parameters.
    fn gradient(&self, x: &Tensor) -> Result<Tensor> {
        let own = take_columns(x, self.first, &self.shape)?;
        self.pullback.params(&own)?.reshape((1, ()))
    }
}

impl<const T: usize> FlowNet<T> {
    /// As [`FlowNet::forward`] where nobody differentiates in `obs` and `z`, and no embedding has a LayerNorm.
    pub(super) fn forward_in_params(
        &self,
        params: &Tensor,
        obs: &Tensor,
        z: &Tensor,
        times: [&Tensor; T],
    ) -> Result<Tensor> {
        self.check(params, obs, z)?;
        let held = params.detach();
        let rows = obs.dim(0)?;
        let (embedded, mut fronts) = self.times_with_pullbacks(&held, times, rows)?;
        let (encoded, encoder) = match &self.cond {
            None => (obs.clone(), None),
            Some(cond) => {
                let own = slice(&held, &self.cond_range)?;
                let (encoded, pullback) = cond.forward_with_pullback(&own, obs)?;
                let front = Front {
                    first: self.obs_slot(),
                    shape: encoded.dims().to_vec(),
                    pullback,
                };
                (encoded, Some(front))
            }
        };
        fronts.extend(encoder);
        let x = self.join(&encoded, &[z], &embedded)?;
        let (y, trunk) = self
            .trunk
            .forward_with_pullback(&self.trunk_params(&held)?, &x)?;
        attached(params, &y, move |cotangent| {
            if fronts.is_empty() {
                return trunk.params(cotangent);
            }
            let (own, x) = trunk.both(cotangent)?;
            let front = |front: &Front| front.gradient(&x);
            let mut parts: Vec<Tensor> = fronts.iter().map(front).collect::<Result<_>>()?;
            parts.push(own.reshape((1, ()))?);
            side_by_side(&parts.iter().collect::<Vec<_>>())?.squeeze(0)
        })
    }

    /// Embedded times of every row, and where their parameters are, in the order of the parameters.
    fn times_with_pullbacks(
        &self,
        params: &Tensor,
        times: [&Tensor; T],
        rows: usize,
    ) -> Result<(Vec<Tensor>, Vec<Front>)> {
        let embedding = &self.config.time;
        let every_row = |t: &Tensor| match t.dims() {
            [1] if rows != 1 => t.broadcast_as(rows)?.contiguous(),
            _ => Ok(t.clone()),
        };
        let times: Vec<Tensor> = times.into_iter().map(every_row).collect::<Result<_>>()?;
        let together = self.time_ranges[0].start..self.time_ranges[T - 1].end;
        let each: Vec<&Tensor> = times.iter().collect();
        let features = embedding.features_of_many(&each)?;
        let Some(mlp) = embedding.mlp() else {
            return Ok((vec![features], Vec::new()));
        };
        let own = slice(params, &together)?.reshape((T, ()))?;
        let (embedded, pullback) = mlp.forward_with_pullback(&own, &features)?;
        let front = Front {
            first: self.time_slot(),
            shape: embedded.dims().to_vec(),
            pullback,
        };
        Ok((vec![embedded], vec![front]))
    }

    /// First input column of the observation.
    fn obs_slot(&self) -> usize {
        let (d, times) = (self.config.act_dim, T * self.config.time.dim());
        match self.config.order {
            InputOrder::ObsFirst => 0,
            InputOrder::LatentFirst => d,
            InputOrder::LatentTimeObs => d + times,
        }
    }

    /// First input column of the embedded times.
    fn time_slot(&self) -> usize {
        let (o, d) = (self.config.encoded_obs_dim(), self.config.act_dim);
        match self.config.order {
            InputOrder::ObsFirst | InputOrder::LatentFirst => o + d,
            InputOrder::LatentTimeObs => d,
        }
    }
}
