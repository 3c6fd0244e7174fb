//! One field of all transitions of a replay.

/// One field of all transitions.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Column {
    /// Values of a row.
    pub(crate) width: usize,
    values: Vec<f32>,
}

impl Column {
    /// No row; memory is taken for `capacity` of them.
    pub(crate) fn new(width: usize, capacity: usize) -> Self {
        Self {
            width,
            values: Vec::with_capacity(width * capacity),
        }
    }

    /// Writes a row; `slot` is at most one past the last row.
    pub(crate) fn write(&mut self, slot: usize, row: &[f32]) {
        let start = slot * self.width;
        if start == self.values.len() {
            self.values.extend_from_slice(row);
        } else {
            self.values[start..start + self.width].copy_from_slice(row);
        }
    }

    /// Takes all slots, with zeros, so that any of them can be written next.
    pub(crate) fn fill(&mut self, capacity: usize) {
        self.values.resize(self.width * capacity, 0.0);
    }

    /// The row in `slot`.
    pub(crate) fn row(&self, slot: usize) -> &[f32] {
        &self.values[slot * self.width..(slot + 1) * self.width]
    }

    /// The rows in `slots`, one behind the other.
    pub(crate) fn gather(&self, slots: &[u32]) -> Vec<f32> {
        let mut out = Vec::with_capacity(slots.len() * self.width);
        for slot in slots {
            out.extend_from_slice(self.row(*slot as usize));
        }
        out
    }
}
