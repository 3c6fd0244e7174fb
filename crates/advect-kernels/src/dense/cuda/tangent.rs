//! Forward-mode derivatives of a fused network on a GPU.

use std::sync::Arc;

use candle_core::Result;

use super::{DENSE, Input, Pass, Saved, empty, made};
use crate::cuda::{Buffer, View, buffer, count, launch, warps};
use crate::dense::stage::Stage;

impl Pass<'_> {
    /// `y_dot [rows, per_row, out]` for tangents `[rows, per_row, in]` of one network's input.
    pub fn tangent(&self, saved: &Saved, tangents: View, rows: usize) -> Result<Arc<Buffer>> {
        let x = Input {
            values: tangents,
            rows,
            per_member: false,
        };
        let (mut value, mut skip) = (None, None);
        for stage in &self.program.stages {
            match *stage {
                Stage::Enter => skip = value.clone(),
                Stage::Linear(layer) => {
                    value = Some(Arc::new(self.product(layer, &x, value.as_deref())?));
                }
                Stage::Activate(index) => {
                    let t = made(&value)?;
                    let out = self.activate_tangent(index, saved, t, rows)?;
                    value = Some(Arc::new(out));
                }
                Stage::Add => value = Some(Arc::new(self.add(made(&skip)?, made(&value)?)?)),
            }
        }
        value.ok_or_else(empty)
    }

    /// `t a'`, with LayerNorm its tangent; several rows of `t` for each of the `rows` of the primal pass.
    fn activate_tangent(
        &self,
        index: usize,
        saved: &Saved,
        t: &Buffer,
        rows: usize,
    ) -> Result<Buffer> {
        let curved = &saved.curved[index];
        let width = t.len() / rows.max(1);
        let per_row = count(t.len() / curved.slope.len().max(1))?;
        let (Some(norm), Some(kept)) = (self.norm(index)?, &curved.norm) else {
            return self.scaled(&t.as_view(), &curved.slope, width, per_row);
        };
        let (rows, width) = (count(rows)?, count(width)?);
        let mut out = buffer(self.device, t.len())?;
        launch!(self.device, DENSE, "norm_tangent", warps(rows);
            t, &curved.slope, &kept.normed, &kept.scale, &self.params, &norm, &mut out, &per_row,
            &rows, &width);
        Ok(out)
    }
}
