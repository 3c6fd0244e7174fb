//! The forward pass of a fused network on a GPU.

use std::sync::Arc;

use candle_core::Result;

use super::{Curved, DENSE, Input, Normed, Pass, Saved, empty, made};
use crate::cuda::{Buffer, buffer, count, elements, launch, start_of, warps};
use crate::dense::stage::Stage;

/// What a linear layer's kernel does behind the bias.
#[derive(Clone, Copy)]
enum Behind {
    Nothing,
    /// The activation, whose slopes are kept for derivatives or not.
    Activation {
        keep: bool,
    },
}

impl Pass<'_> {
    /// `y [members, rows, out]`, and what its derivatives need.
    ///
    /// # Errors
    /// If the device fails; so do all passes.
    pub fn forward(&self, x: &Input) -> Result<(Arc<Buffer>, Saved)> {
        let mut saved = Saved {
            inputs: Vec::new(),
            curved: Vec::new(),
        };
        let y = self.run(x, Some(&mut saved))?;
        Ok((y, saved))
    }

    /// `y [members, rows, out]`.
    ///
    /// # Errors
    /// See [`Pass::forward`].
    pub fn value(&self, x: &Input) -> Result<Arc<Buffer>> {
        self.run(x, None)
    }

    fn run(&self, x: &Input, mut saved: Option<&mut Saved>) -> Result<Arc<Buffer>> {
        let (mut value, mut skip) = (None, None);
        let mut stages = self.program.stages.iter().copied().peekable();
        while let Some(stage) = stages.next() {
            match stage {
                Stage::Enter => skip = value.clone(),
                Stage::Linear(layer) => {
                    let curved = |next: &Stage| matches!(next, Stage::Activate(_));
                    let is_plain = self.program.norms.is_empty();
                    let keep = saved.is_some();
                    let behind = match is_plain && stages.next_if(curved).is_some() {
                        true => Behind::Activation { keep },
                        false => Behind::Nothing,
                    };
                    let left = value.take();
                    let (out, slope) = self.layer(layer, x, left.as_deref(), behind)?;
                    if let Some(saved) = &mut saved {
                        saved.inputs.push(left);
                        let slope = slope.map(|slope| Curved { slope, norm: None });
                        saved.curved.extend(slope);
                    }
                    value = Some(Arc::new(out));
                }
                Stage::Activate(index) => {
                    let (out, curved) = self.activate(index, made(&value)?)?;
                    if let Some(saved) = &mut saved {
                        saved.curved.push(curved);
                    }
                    value = Some(Arc::new(out));
                }
                Stage::Add => value = Some(Arc::new(self.add(made(&skip)?, made(&value)?)?)),
            }
        }
        value.ok_or_else(empty)
    }

    /// A linear layer with what is behind it; its slopes if they are kept.
    fn layer(
        &self,
        layer: usize,
        x: &Input,
        value: Option<&Buffer>,
        behind: Behind,
    ) -> Result<(Buffer, Option<Buffer>)> {
        if self.is_narrow(layer) {
            return self.narrow(layer, x, value, behind);
        }
        let mut z = self.product(layer, x, value)?;
        let slope = match behind {
            Behind::Nothing => {
                self.add_bias(layer, &mut z, x.rows)?;
                None
            }
            Behind::Activation { keep } => self.bias_activate(layer, &mut z, x.rows, keep)?,
        };
        Ok((z, slope))
    }

    /// The same for few outputs, by one kernel.
    fn narrow(
        &self,
        layer: usize,
        x: &Input,
        value: Option<&Buffer>,
        behind: Behind,
    ) -> Result<(Buffer, Option<Buffer>)> {
        let [bias, stride, rows, width, n] = self.places(layer, x.rows)?;
        let linear = self.linear(layer);
        let left = self.rows(x, value, linear.inputs);
        let [inputs, weight] = [count(linear.inputs)?, count(linear.offset)?];
        let own_rows = u32::from(left.member_stride > 0);
        let (activation, keep) = match behind {
            Behind::Nothing => (-1, false),
            Behind::Activation { keep } => (self.activation(), keep),
        };
        let mut out = buffer(self.device, n as usize)?;
        let slope = self.room(keep, n)?;
        let slopes = start_of(slope.as_ref());
        let is_last = layer + 1 == self.program.linears.len();
        let (from, h) = self.step.filter(|_| is_last).unwrap_or_default();
        launch!(self.device, DENSE, "narrow_layer", elements(n);
            &left.values, &self.params, &mut out, &slopes, &from, &h, &weight, &bias, &stride,
            &inputs, &width, &rows, &own_rows, &activation, &n);
        Ok((out, slope))
    }

    pub(super) fn room(&self, wanted: bool, n: u32) -> Result<Option<Buffer>> {
        wanted.then(|| buffer(self.device, n as usize)).transpose()
    }

    pub(super) fn add_bias(&self, layer: usize, z: &mut Buffer, rows: usize) -> Result<()> {
        let [bias, stride, rows, width, n] = self.places(layer, rows)?;
        launch!(self.device, DENSE, "add_bias", elements(n);
            z, &self.params, &bias, &stride, &rows, &width, &n);
        Ok(())
    }

    /// `z <- a(z + b)`; the slopes if they are kept.
    fn bias_activate(
        &self,
        layer: usize,
        z: &mut Buffer,
        rows: usize,
        keep: bool,
    ) -> Result<Option<Buffer>> {
        let [bias, stride, rows, width, n] = self.places(layer, rows)?;
        let activation = self.activation();
        let slope = self.room(keep, n)?;
        let slopes = start_of(slope.as_ref());
        launch!(self.device, DENSE, "bias_activate", elements(n);
            z, &slopes, &self.params, &bias, &stride, &rows, &width, &activation, &n);
        Ok(slope)
    }

    /// LayerNorm where there is one, and activation.
    fn activate(&self, index: usize, z: &Buffer) -> Result<(Buffer, Curved)> {
        let n = count(z.len())?;
        let (mut out, mut slope) = (buffer(self.device, z.len())?, buffer(self.device, z.len())?);
        let activation = self.activation();
        let Some(norm) = self.norm(index)? else {
            launch!(self.device, DENSE, "activate", elements(n);
                z, &mut out, &mut slope, &activation, &n);
            return Ok((out, Curved { slope, norm: None }));
        };
        let (width, eps) = (count(self.hidden())?, self.program.eps);
        let rows = n / width;
        let mut normed = buffer(self.device, z.len())?;
        let mut scale = buffer(self.device, rows as usize)?;
        launch!(self.device, DENSE, "norm_activate", warps(rows);
            z, &mut out, &mut slope, &mut normed, &mut scale, &self.params, &norm, &eps,
            &activation, &rows, &width);
        let norm = Some(Normed { normed, scale });
        Ok((out, Curved { slope, norm }))
    }
}
