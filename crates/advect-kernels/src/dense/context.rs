//! Columns that the candidates of a state share.

use candle_core::{Result, Tensor};

use crate::error::shape_error;
use crate::side_by_side;

/// The columns that the candidates of a state share, in parts as [`side_by_side`] takes them: those in front of a candidate's own columns,
/// and those behind.
#[derive(Debug, Clone, Copy, Default)]
pub struct Context<'a> {
    /// In front.
    pub before: &'a [&'a Tensor],
    /// Behind.
    pub behind: &'a [&'a Tensor],
}

impl<'a> Context<'a> {
    /// Columns in front only.
    pub fn before(before: &'a [&'a Tensor]) -> Self {
        let behind = &[];
        Self { before, behind }
    }

    /// Refuses parts and candidates `own` that do not make up rows of `inputs` columns.
    pub(crate) fn check(&self, op: &'static str, own: &Tensor, inputs: usize) -> Result<()> {
        let &[states, _, width] = own.dims() else {
            return Err(shape_error(op, "own", own.dims(), "[B, K, d]"));
        };
        let parts = self.before.iter().chain(self.behind);
        if columns(self.before) + width + columns(self.behind) == inputs {
            for part in parts {
                let rows = part.dims().iter().rev().nth(1);
                if rows != Some(&states) && rows != Some(&1) {
                    let expected = format!("[{states}, ..], a row for each state, or one");
                    return Err(shape_error(op, "context", part.dims(), expected));
                }
            }
            return Ok(());
        }
        let expected = format!("[{states}, {}] in all", inputs.saturating_sub(width));
        let found = [states, columns(self.before) + columns(self.behind)];
        Err(shape_error(op, "context", &found, expected))
    }

    /// `[states, columns]`, and the first column of a candidate's own.
    pub(super) fn joined(&self, own: &Tensor) -> Result<(Tensor, usize)> {
        let (states, slot) = (own.dim(0)?, columns(self.before));
        let parts = [self.before, self.behind].concat();
        if parts.is_empty() {
            return Ok((Tensor::zeros((states, 0), own.dtype(), own.device())?, slot));
        }
        let joined = side_by_side(&parts)?.detach();
        let width = joined.dim(1)?;
        Ok((joined.broadcast_as((states, width))?.contiguous()?, slot))
    }

    /// The rows `[states candidates, inputs]` of all candidates.
    #[cfg(feature = "cuda")]
    pub(super) fn rows(&self, own: &Tensor) -> Result<Tensor> {
        let own = own.flatten_to(1)?;
        side_by_side(&[self.before, &[&own], self.behind].concat())
    }
}

fn columns(parts: &[&Tensor]) -> usize {
    let of =
        |part: &&Tensor| part.elem_count() / part.dims().iter().rev().nth(1).unwrap_or(&1).max(&1);
    parts.iter().map(of).sum()
}
