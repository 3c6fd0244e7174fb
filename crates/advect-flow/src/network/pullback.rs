//! The network as a function of its parameters alone: one backward pass into one flat gradient, without sums over slices of them, and
//! tangents from the same forward pass.

use advect_kernels::{Mlp, Pullback, attached, side_by_side, stacked, take_columns};
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
    /// Of columns that begin at `first`.
    fn of(first: usize, columns: &Tensor, pullback: Pullback) -> Self {
        let shape = columns.dims().to_vec();
        Self {
            first,
            shape,
            pullback,
        }
    }

    /// A row of the gradient in its parameters.
    fn gradient(&self, x: &Tensor) -> Result<Tensor> {
        let own = take_columns(x, self.first, &self.shape)?;
        self.pullback.params(&own)?.reshape((1, ()))
    }
}

/// What leads from a cotangent of the output of one pass to the parameters.
struct Linearised {
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
    fn attached(self, params: &Tensor, y: &Tensor) -> Result<Tensor> {
        attached(params, y, move |cotangent| self.params(cotangent))
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
        let (held, times) = (params.detach(), every_row(times, obs.dim(0)?)?);
        let features = self.config.time.features().values(&times.each_ref())?;
        let (embedded, times) = match self.embedding(&held)? {
            None => (features, None),
            Some((mlp, own)) => {
                let (embedded, pullback) = mlp.forward_with_pullback(&own, &features)?;
                let front = Front::of(self.time_slot(), &embedded, pullback);
                (embedded, Some(front))
            }
        };
        let (encoded, encoder) = self.obs_with_pullback(&held, obs)?;
        let x = self.join(&encoded, z, &[embedded])?;
        let own = self.trunk_params(&held)?;
        let (y, trunk) = self.trunk.forward_with_pullback(&own, &x)?;
        let pass = Linearised {
            times,
            encoder,
            trunk,
        };
        pass.attached(params, &y)
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
        self.check(params, obs, z)?;
        expect_dims("velocity network", "z_dot", tangent.z, z.dims())?;
        let (held, times) = (params.detach(), every_row(times, obs.dim(0)?)?);
        let features = self.config.time.features();
        let both = features.with_derivatives(&times.each_ref(), &tangent.times)?;
        let (embedded, embedded_dot, times) = match self.embedding(&held)? {
            None => (both.get(0)?, both.get(1)?, None),
            Some((mlp, own)) => {
                let (value, dot, pullback) = mlp.forward_with_tangent(&own, &both)?;
                let front = Front::of(self.time_slot(), &value, pullback);
                (value, dot, Some(front))
            }
        };
        let (encoded, encoder) = self.obs_with_pullback(&held, obs)?;
        let above = self.row(&encoded, z, &[&embedded]);
        let still = self.still_obs(obs)?;
        let below = self.row(&still, tangent.z, &[&embedded_dot]);
        let own = self.trunk_params(&held)?;
        let (y, y_dot, trunk) = self
            .trunk
            .forward_with_tangent(&own, &stacked(&above, &below)?)?;
        let pass = Linearised {
            times,
            encoder,
            trunk,
        };
        Ok((pass.attached(params, &y)?, y_dot))
    }

    /// The network behind the features of the times, as an ensemble with a member for each of them, and its parameters.
    fn embedding(&self, params: &Tensor) -> Result<Option<(&Mlp, Tensor)>> {
        let Some(mlp) = self.config.time.mlp() else {
            return Ok(None);
        };
        let together = self.time_ranges[0].start..self.time_ranges[T - 1].end;
        let own = slice(params, &together)?.reshape((T, ()))?;
        Ok(Some((mlp, own)))
    }

    /// The observation as the trunk sees it.
    fn obs_with_pullback(&self, params: &Tensor, obs: &Tensor) -> Result<(Tensor, Option<Front>)> {
        let Some(cond) = &self.cond else {
            return Ok((obs.clone(), None));
        };
        let own = slice(params, &self.cond_range)?;
        let (encoded, pullback) = cond.forward_with_pullback(&own, obs)?;
        let front = Front::of(self.obs_slot(), &encoded, pullback);
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
