//! Rows of numbers with their names for errors.

use std::path::Path;

use super::DataError;

/// A column of a file: `rows` rows of `width` numbers.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Rows {
    pub(super) rows: usize,
    pub(super) width: usize,
    pub(super) values: Vec<f32>,
}

impl Rows {
    /// Numbers of a shape `[rows]` (width 1) or `[rows, ..]` (the rest flattened).
    pub(super) fn new(
        path: &Path,
        entry: &str,
        shape: &[usize],
        values: Vec<f32>,
    ) -> Result<Self, DataError> {
        let [rows, rest @ ..] = shape else {
            return Err(DataError::bad(
                path,
                entry,
                "is a single number, not an array",
            ));
        };
        let width: usize = rest.iter().product();
        if rows * width != values.len() {
            let problem = format!("has {} numbers for its shape {shape:?}", values.len());
            return Err(DataError::bad(path, entry, problem));
        }
        Ok(Self {
            rows: *rows,
            width,
            values,
        })
    }

    /// Refuses another number of rows than `wanted`.
    pub(super) fn with_rows(
        self,
        path: &Path,
        entry: &str,
        wanted: usize,
    ) -> Result<Self, DataError> {
        if self.rows == wanted {
            return Ok(self);
        }
        let problem = format!("has {} rows where {wanted} are expected", self.rows);
        Err(DataError::bad(path, entry, problem))
    }

    /// One number per row as a flag.
    pub(super) fn flags(&self) -> Vec<bool> {
        self.values.iter().map(|value| *value != 0.0).collect()
    }

    pub(super) fn row(&self, index: usize) -> &[f32] {
        &self.values[index * self.width..][..self.width]
    }
}
