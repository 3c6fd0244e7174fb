//! Forward-mode derivatives of a fused network on a GPU.

use std::sync::Arc;

use candle_core::Result;

use super::{Curved, DENSE, Input, Pass, Saved, empty, made};
use crate::cuda::{Buffer, buffer, count, elements, launch, start_of, warps};
use crate::dense::stage::Stage;

impl Pass<'_> {
    /// `y_dot [members, rows, out]` for tangents of the input, of which several rows may belong to a row of the primal pass.
    pub fn tangent(&self, saved: &Saved, tangents: &Input) -> Result<Arc<Buffer>> {
        let (mut value, mut skip) = (None, None);
        let mut stages = self.program.stages.iter().copied().peekable();
        while let Some(stage) = stages.next() {
            match stage {
                Stage::Enter => skip = value.clone(),
                Stage::Linear(layer) => {
                    let behind = match stages.peek() {
                        Some(Stage::Activate(index)) => Some(&saved.curved[*index]),
                        _ => None,
                    };
                    let plain = behind.is_none_or(|curved| curved.norm.is_none());
                    let out = if plain && self.is_narrow(layer) {
                        let _done = stages.next_if(|next| matches!(next, Stage::Activate(_)));
                        self.narrow_tangent(layer, tangents, value.as_deref(), behind)?
                    } else {
                        self.product(layer, tangents, value.as_deref())?
                    };
                    value = Some(Arc::new(out));
                }
                Stage::Activate(index) => {
                    let t = made(&value)?;
                    let out = self.activate_tangent(index, saved, t, tangents.rows)?;
                    value = Some(Arc::new(out));
                }
                Stage::Add => value = Some(Arc::new(self.add(made(&skip)?, made(&value)?)?)),
            }
        }
        value.ok_or_else(empty)
    }

    /// A layer of few outputs with the slopes behind it, by one kernel.
    fn narrow_tangent(
        &self,
        layer: usize,
        x: &Input,
        value: Option<&Buffer>,
        behind: Option<&Curved>,
    ) -> Result<Buffer> {
        let [_, stride, rows, width, n] = self.places(layer, x.rows)?;
        let linear = self.linear(layer);
        let left = self.rows(x, value, linear.inputs);
        let [inputs, weight] = [count(linear.inputs)?, count(linear.offset)?];
        let own_rows = u32::from(left.member_stride > 0);
        let slopes = behind.map_or(n as usize, |curved| curved.slope.len());
        let per = n / count(slopes)?.max(1);
        let slope = start_of(behind.map(|curved| &curved.slope));
        let mut out = buffer(self.device, n as usize)?;
        launch!(self.device, DENSE, "narrow_tangent", elements(n);
            &left.values, &self.params, &slope, &mut out, &weight, &stride, &inputs, &width, &rows,
            &own_rows, &per, &n);
        Ok(out)
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
