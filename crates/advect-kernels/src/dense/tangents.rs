//! Tangents of the inputs of a network.

use super::net::Net;

/// The tangents of the inputs.
#[derive(Clone, Copy)]
pub(crate) enum Tangents<'a> {
    /// `[rows, per_row, in]`.
    Given { values: &'a [f32], per_row: usize },
    /// The unit vectors of the input columns `slot..slot + width`, the same for every row.
    Units { slot: usize, width: usize },
}

impl Tangents<'_> {
    /// Tangents of a row.
    pub fn per_row(self) -> usize {
        match self {
            Tangents::Given { per_row, .. } => per_row,
            Tangents::Units { width, .. } => width,
        }
    }
}

/// For unit tangents, the columns of the first weight as rows `[width, out]`.
pub(crate) fn first_columns(net: &Net, tangents: Tangents) -> Vec<f32> {
    let Tangents::Units { slot, width } = tangents else {
        return Vec::new();
    };
    let (inputs, _) = net.widths(0);
    let weight = net.weight(0, 0);
    (slot..slot + width)
        .flat_map(|column| weight.iter().skip(column).step_by(inputs).copied())
        .collect()
}
