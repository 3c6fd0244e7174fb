//! One field of all transitions of a replay.

use candle_core::{Device, Result, Tensor};

/// One field of all transitions.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Column {
    /// Values of a row.
    pub(crate) width: usize,
    values: Values,
}

/// Numbers, or frames: whole numbers from 0 to 255.
#[derive(Debug, Clone, PartialEq)]
enum Values {
    Numbers(Vec<f32>),
    Frames(Vec<u8>),
}

impl Column {
    /// No row; memory is taken for `capacity` of them.
    pub(crate) fn new(width: usize, capacity: usize) -> Self {
        let values = Values::Numbers(Vec::with_capacity(width * capacity));
        Self { width, values }
    }

    /// The same for frames, which take a byte a number; memory is taken as rows come.
    pub(crate) fn of_frames(width: usize) -> Self {
        let values = Values::Frames(Vec::new());
        Self { width, values }
    }

    /// Whether rows are frames.
    pub(crate) fn holds_frames(&self) -> bool {
        matches!(self.values, Values::Frames(_))
    }

    /// Bytes of a row in [`Column::put`].
    pub(crate) fn row_bytes(&self) -> usize {
        match self.values {
            Values::Numbers(_) => self.width * size_of::<f32>(),
            Values::Frames(_) => self.width,
        }
    }

    /// Writes a row; `slot` is at most one past the last row.
    pub(crate) fn write(&mut self, slot: usize, row: &[f32]) {
        match &mut self.values {
            Values::Numbers(values) => place(values, slot, row.iter().copied()),
            Values::Frames(values) => place(values, slot, row.iter().map(|x| *x as u8)),
        }
    }

    /// Takes all slots, with zeros, so that any of them can be written next.
    pub(crate) fn fill(&mut self, capacity: usize) {
        let len = self.width * capacity;
        match &mut self.values {
            Values::Numbers(values) => values.resize(len, 0.0),
            Values::Frames(values) => values.resize(len, 0),
        }
    }

    /// The row in `slot`.
    pub(crate) fn row(&self, slot: usize) -> Vec<f32> {
        let range = slot * self.width..(slot + 1) * self.width;
        match &self.values {
            Values::Numbers(values) => values[range].to_vec(),
            Values::Frames(values) => values[range].iter().copied().map(f32::from).collect(),
        }
    }

    /// Appends the row in `slot` to `out`: little-endian f32, or the bytes of frames.
    pub(crate) fn put(&self, slot: usize, out: &mut Vec<u8>) {
        let range = slot * self.width..(slot + 1) * self.width;
        match &self.values {
            Values::Numbers(values) => {
                out.extend(values[range].iter().flat_map(|x| x.to_le_bytes()))
            }
            Values::Frames(values) => out.extend_from_slice(&values[range]),
        }
    }

    /// Writes a row that [`Column::put`] made, of [`Column::row_bytes`] bytes.
    pub(crate) fn take(&mut self, slot: usize, row: &[u8]) {
        match &mut self.values {
            Values::Numbers(values) => {
                let numbers = row.as_chunks::<4>().0.iter();
                place(values, slot, numbers.map(|x| f32::from_le_bytes(*x)));
            }
            Values::Frames(values) => place(values, slot, row.iter().copied()),
        }
    }

    /// The rows in `slots`, one behind the other, as numbers.
    pub(crate) fn gather(&self, slots: &[u32]) -> Vec<f32> {
        match &self.values {
            Values::Numbers(values) => gathered(values, self.width, slots),
            Values::Frames(values) => {
                let bytes = gathered(values, self.width, slots);
                bytes.into_iter().map(f32::from).collect()
            }
        }
    }

    /// The same as a matrix `[slots, width]` of f32, or of u8 for frames.
    pub(crate) fn matrix(&self, slots: &[u32], device: &Device) -> Result<Tensor> {
        let shape = (slots.len(), self.width);
        match &self.values {
            Values::Numbers(values) => {
                Tensor::from_vec(gathered(values, self.width, slots), shape, device)
            }
            Values::Frames(values) => {
                Tensor::from_vec(gathered(values, self.width, slots), shape, device)
            }
        }
    }
}

/// Writes a row of as many values as `row` has.
fn place<T: Copy>(values: &mut Vec<T>, slot: usize, row: impl ExactSizeIterator<Item = T>) {
    let start = slot * row.len();
    if start == values.len() {
        values.extend(row);
        return;
    }
    for (value, new) in values[start..].iter_mut().zip(row) {
        *value = new;
    }
}

fn gathered<T: Copy>(values: &[T], width: usize, slots: &[u32]) -> Vec<T> {
    let mut out = Vec::with_capacity(slots.len() * width);
    for slot in slots {
        out.extend_from_slice(&values[*slot as usize * width..][..width]);
    }
    out
}
