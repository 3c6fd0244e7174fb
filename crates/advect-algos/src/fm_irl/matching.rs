//! The flow-matching loss of single rows, from which density and discriminator are made (fm_irl.md section 1.1).

use advect_flow::{TimeConvention, VelocityNet};
use candle_core::{Result, Tensor};

use crate::imitation::density::query::{all, apart};
use crate::imitation::density::{Density, Query};

/// The network `v(x_t, c, t)`, which is teacher, density of the student and discriminator at once.
#[derive(Debug, Clone, Copy)]
pub struct Matching<'a> {
    /// The network.
    pub net: &'a VelocityNet,
    /// Its parameters `[N]`.
    pub params: &'a Tensor,
    /// Width of the label.
    pub label_dim: usize,
}

impl Density for Matching<'_> {
    /// `l(x | c) = |v(x_t, c, t) - (x - x_0)|^2 / d` with `x_t = (1 - t) x_0 + t x`.
    fn losses<const Q: usize>(&self, queries: [Query<'_>; Q]) -> Result<[Tensor; Q]> {
        let path = TimeConvention::DataUp;
        let x_t = all(&queries, |query| {
            path.interpolate(query.x, &query.draw.x_0, &query.draw.t)
        })?;
        let u = all(&queries, |query| path.velocity(query.x, &query.draw.x_0))?;
        let label = all(&queries, |query| {
            query.label.rows(query.x.dim(0)?, self.label_dim, query.x)
        })?;
        let t = all(&queries, |query| Ok(query.draw.t.clone()))?;
        let v = self.net.forward(self.params, &label, &x_t, [&t])?;
        apart(&(v - u)?.sqr()?.mean(1)?, &queries)
    }
}
