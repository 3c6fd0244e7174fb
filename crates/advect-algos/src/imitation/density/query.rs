//! Per-row losses of a generative model of states and actions under a label, of which densities are compared (fm_irl.md section 1.1).

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

/// A network whose loss at a row is a surrogate of minus the row's log-density under a label.
pub trait Density {
    /// `l(x | c)` of every row of every query, in one pass through the network; differentiable in the parameters.
    ///
    /// # Shapes
    /// To one `[B]` per query.
    ///
    /// # Errors
    /// On a shape mismatch.
    fn losses<const Q: usize>(&self, queries: [Query<'_>; Q]) -> Result<[Tensor; Q]>;
}

/// What `part` makes of every query, behind each other.
pub(crate) fn all(
    queries: &[Query<'_>],
    part: impl Fn(&Query<'_>) -> Result<Tensor>,
) -> Result<Tensor> {
    let parts = queries.iter().map(part).collect::<Result<Vec<_>>>()?;
    Tensor::cat(&parts, 0)
}

/// The losses of all rows `[sum B]`, one `[B]` per query again.
pub(crate) fn apart<const Q: usize>(
    loss: &Tensor,
    queries: &[Query<'_>; Q],
) -> Result<[Tensor; Q]> {
    let mut start = 0;
    let mut losses = Vec::with_capacity(Q);
    for query in queries {
        let rows = query.x.dim(0)?;
        losses.push(loss.narrow(0, start, rows)?);
        start += rows;
    }
    let count = |losses: Vec<Tensor>| format!("{} losses of {Q} queries", losses.len());
    losses
        .try_into()
        .map_err(|losses| candle_core::Error::Msg(count(losses)))
}
