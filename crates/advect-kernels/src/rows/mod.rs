//! Rows on a CUDA device from which batches are drawn there.

#[cfg(feature = "cuda")]
mod cuda;

use advect_rng::Stream;
use candle_core::{Device, Result, Tensor};

#[cfg(feature = "cuda")]
use cuda::Table;

/// Fields of a row, at most.
const FIELDS: usize = 8;

/// The last rows of a ring; a row is its fields one behind the other, f32.
#[derive(Debug)]
pub struct DeviceRows {
    widths: Vec<usize>,
    table: Table,
}

impl DeviceRows {
    /// Room for `capacity` rows of fields of those widths on a CUDA device; nothing for another.
    ///
    /// # Errors
    /// If there are more than eight fields, or the device has no room.
    pub fn new(capacity: usize, widths: &[usize], device: &Device) -> Result<Option<Self>> {
        if !device.is_cuda() {
            return Ok(None);
        }
        if widths.len() > FIELDS || widths.contains(&0) {
            let problem =
                format!("rows have 1 to {FIELDS} fields of at least one value, not {widths:?}");
            return Err(candle_core::Error::Msg(problem));
        }
        let width = widths.iter().sum();
        Ok(Some(Self {
            table: Table::new(capacity, width, device)?,
            widths: widths.to_vec(),
        }))
    }

    /// Writes whole rows to the slots from `slot` on; from now on the first `len` slots are drawn from.
    ///
    /// # Errors
    /// If they do not fit.
    pub fn write(&mut self, slot: usize, rows: &[f32], len: usize) -> Result<()> {
        self.table.write(slot, rows, len)
    }

    /// `n` rows drawn uniformly with replacement: a tensor `[n, width]` for each field. The rows are those at
    /// [`Stream::fill_indices`], and the stream moves as by it.
    ///
    /// # Errors
    /// If the device fails.
    pub fn sample(&self, stream: &mut Stream, n: usize) -> Result<Vec<Tensor>> {
        let all = self.table.sample(stream, n, &self.widths)?;
        let mut begin = 0;
        let field = |width: &usize| {
            let values = all.narrow(0, begin, n * width)?;
            begin += n * width;
            values.reshape((n, *width))
        };
        self.widths.iter().map(field).collect()
    }
}

/// Without the feature `cuda` there is no such device.
#[cfg(not(feature = "cuda"))]
#[derive(Debug)]
enum Table {}

#[cfg(not(feature = "cuda"))]
impl Table {
    fn new(_: usize, _: usize, _: &Device) -> Result<Self> {
        Err(candle_core::Error::NotCompiledWithCudaSupport)
    }

    fn write(&mut self, _: usize, _: &[f32], _: usize) -> Result<()> {
        match *self {}
    }

    fn sample(&self, _: &mut Stream, _: usize, _: &[usize]) -> Result<Tensor> {
        match *self {}
    }
}
