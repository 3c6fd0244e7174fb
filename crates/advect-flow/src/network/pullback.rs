//! The network as a function of its parameters alone: one backward pass into one flat gradient, without sums over slices of them, and
//! tangents from the same forward pass.

use advect_kernels::{Pullback, attached, side_by_side, take_columns};
use candle_core::{Result, Tensor};

use super::{FlowNet, InputOrder, Tangent, slice};
use crate::error::expect_dims;

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

/// One pass through the network, and what its derivatives need.
struct Linearised {
    y: Tensor,
    times: Option<Front>,
    encoder: Option<Front>,
    trunk: Pullback,
}

impl Linearised {
    /// The flat gradient of `sum(cotangent * y)`, in the order of the parameters.
    fn params(&self, cotangent: &Tensor) -> Result<Tensor> {
        let fronts: Vec<&Front> = self.times.iter().chain(&self.encoder).collect();
        if fronts.is_empty() {
            return self.trunk.params(cotangent);
        }
        let (own, x) = self.trunk.both(cotangent)?;
        let gradient = |front: &&Front| front.gradient(&x);
        let mut parts: Vec<Tensor> = fronts.iter().map(gradient).collect::<Result<_>>()?;
        parts.push(own.reshape((1, ()))?);
        side_by_side(&parts.iter().collect::<Vec<_>>())?.squeeze(0)
    }

    /// `y`, differentiable in the parameters.
    fn attached(self, params: &Tensor) -> Result<Tensor> {
        let y = self.y.clone();
        attached(params, &y, move |cotangent| self.params(cotangent))
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
        let times = every_row(times, obs.dim(0)?)?;
        self.linearised(params, obs, z, times.each_ref())?
            .attached(params)
    }

    /// The same, and the derivative along `tangent` from the same pass, without gradient.
    pub(super) fn in_params_with_tangent(
        &self,
        params: &Tensor,
        obs: &Tensor,
        z: &Tensor,
        times: [&Tensor; T],
        tangent: Tangent<'_, T>,
    ) -> Result<(Tensor, Tensor)> {
        expect_dims("velocity network", "z_dot", tangent.z, z.dims())?;
        let times = every_row(times, obs.dim(0)?)?;
        let pass = self.linearised(params, obs, z, times.each_ref())?;
        let features = &self.config.time.features();
        let moved = features.derivatives(&times.each_ref(), &tangent.times)?;
        let moved = match &pass.times {
            Some(front) => front.pullback.pushforward(&moved)?,
            None => moved,
        };
        let x_dot = self.join(&self.still_obs(obs)?, tangent.z, &[moved])?;
        let y_dot = pass.trunk.pushforward(&x_dot)?;
        Ok((pass.attached(params)?, y_dot))
    }

    fn linearised(
        &self,
        params: &Tensor,
        obs: &Tensor,
        z: &Tensor,
        times: [&Tensor; T],
    ) -> Result<Linearised> {
        self.check(params, obs, z)?;
        let params = params.detach();
        let (embedded, times) = self.times_with_pullback(&params, times)?;
        let (encoded, encoder) = self.obs_with_pullback(&params, obs)?;
        let x = self.join(&encoded, z, &[embedded])?;
        let (y, trunk) = self
            .trunk
            .forward_with_pullback(&self.trunk_params(&params)?, &x)?;
        Ok(Linearised {
            y,
            times,
            encoder,
            trunk,
        })
    }

    /// The embedded times of every row.
    fn times_with_pullback(
        &self,
        params: &Tensor,
        times: [&Tensor; T],
    ) -> Result<(Tensor, Option<Front>)> {
        let embedding = &self.config.time;
        let features = embedding.features().values(&times)?;
        let Some(mlp) = embedding.mlp() else {
            return Ok((features, None));
        };
        let together = self.time_ranges[0].start..self.time_ranges[T - 1].end;
        let own = slice(params, &together)?.reshape((T, ()))?;
        let (embedded, pullback) = mlp.forward_with_pullback(&own, &features)?;
        let front = Front {
            first: self.time_slot(),
            shape: embedded.dims().to_vec(),
            pullback,
        };
        Ok((embedded, Some(front)))
    }

    /// The observation as the trunk sees it.
    fn obs_with_pullback(&self, params: &Tensor, obs: &Tensor) -> Result<(Tensor, Option<Front>)> {
        let Some(cond) = &self.cond else {
            return Ok((obs.clone(), None));
        };
        let own = slice(params, &self.cond_range)?;
        let (encoded, pullback) = cond.forward_with_pullback(&own, obs)?;
        let front = Front {
            first: self.obs_slot(),
            shape: encoded.dims().to_vec(),
            pullback,
        };
        Ok((encoded, Some(front)))
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

/// Times of every row, where all rows share one or not.
fn every_row<const T: usize>(times: [&Tensor; T], rows: usize) -> Result<[Tensor; T]> {
    let mut every = times.map(Tensor::clone);
    for t in &mut every {
        if t.dims() == [1] && rows != 1 {
            *t = t.broadcast_as(rows)?.contiguous()?;
        }
    }
    Ok(every)
}
