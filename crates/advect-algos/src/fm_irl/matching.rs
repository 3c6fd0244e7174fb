//! The flow-matching loss of single rows, from which density and discriminator are made (fm_irl.md section 1.1).

use advect_flow::{TimeConvention, VelocityNet};
use candle_core::{Result, Tensor};

/// The label `c`: whose density the network is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Label {
    /// `c = 1`: the teacher.
    Expert,
    /// `c = 0`: the student.
    Agent,
}

impl Label {
    /// The label of `rows` rows, `[rows, width]`.
    ///
    /// # Errors
    /// If the device fails.
    pub fn rows(self, rows: usize, width: usize, like: &Tensor) -> Result<Tensor> {
        let value = match self {
            Self::Expert => 1f32,
            Self::Agent => 0.0,
        };
        Tensor::full(value, (rows, width), like.device())
    }
}

/// Noise and time of one draw per row.
#[derive(Debug, Clone)]
pub struct Draw {
    /// `x_0 ~ N(0, I)` `[B, d]`.
    pub x_0: Tensor,
    /// `t` `[B]`.
    pub t: Tensor,
}

/// Rows whose loss is asked for under one label.
#[derive(Debug, Clone, Copy)]
pub struct Query<'a> {
    /// `x_1 = [s; a]` `[B, d]`.
    pub x: &'a Tensor,
    /// Whose density.
    pub label: Label,
    /// Noise and times.
    pub draw: &'a Draw,
}

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

impl Matching<'_> {
    /// `l(x | c) = |v(x_t, c, t) - (x - x_0)|^2 / d` with `x_t = (1 - t) x_0 + t x` of every row of every query, in one pass through the network;
    /// differentiable in the parameters.
    ///
    /// # Shapes
    /// To one `[B]` per query.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn losses<const Q: usize>(&self, queries: [Query<'_>; Q]) -> Result<[Tensor; Q]> {
        let path = TimeConvention::DataUp;
        let all = |part: &dyn Fn(&Query<'_>) -> Result<Tensor>| {
            let parts = queries.iter().map(part).collect::<Result<Vec<_>>>()?;
            Tensor::cat(&parts, 0)
        };
        let x_t = all(&|query| path.interpolate(query.x, &query.draw.x_0, &query.draw.t))?;
        let u = all(&|query| path.velocity(query.x, &query.draw.x_0))?;
        let label = all(&|query| query.label.rows(query.x.dim(0)?, self.label_dim, query.x))?;
        let t = all(&|query| Ok(query.draw.t.clone()))?;
        let v = self.net.forward(self.params, &label, &x_t, [&t])?;
        let loss = (v - u)?.sqr()?.mean(1)?;
        let mut start = 0;
        let mut losses = Vec::with_capacity(Q);
        for query in &queries {
            let rows = query.x.dim(0)?;
            losses.push(loss.narrow(0, start, rows)?);
            start += rows;
        }
        let count = |losses: Vec<Tensor>| format!("{} losses of {Q} queries", losses.len());
        losses
            .try_into()
            .map_err(|losses| candle_core::Error::Msg(count(losses)))
    }
}
