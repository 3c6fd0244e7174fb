//! Right operands laid out in panels.

use super::panel_width;
use crate::simd::{Portable, Simd};

/// Length of the packed form of a `[k, n]` operand, in words.
pub(crate) struct PackedPanels;

impl PackedPanels {
    /// Words of the packed form with panels of `width` columns of which the last may have one vector only.
    pub(crate) fn len<S: Simd>(k: usize, n: usize) -> usize {
        k * n.next_multiple_of(S::LANES)
    }
}

/// Panel widths of an operand of `n` columns.
#[inline(always)]
fn for_each_panel<S: Simd>(n: usize, mut f: impl FnMut(usize, usize, usize)) {
    let mut column = 0;
    while column < n {
        let left = n - column;
        let columns = if left > S::LANES {
            panel_width::<S>()
        } else {
            S::LANES
        };
        f(column, columns, columns.min(left));
        column += panel_width::<S>();
    }
}

/// Packs `B = W^T` for `W [n, k]` row-major with leading dimension `ld`: the forward product `x W^T`.
#[inline(always)]
pub(crate) fn pack_transposed<S: Simd>(
    s: S,
    weight: &[f32],
    ld: usize,
    k: usize,
    n: usize,
    out: &mut [f32],
) {
    let mut column = 0;
    while column < n && k > 0 {
        let columns = if n - column > S::LANES {
            panel_width::<S>()
        } else {
            S::LANES
        };
        let panel = &mut out[column * k..][..columns * k];
        for vector in (0..columns).step_by(S::LANES) {
            let first = column + vector;
            if first + S::LANES <= n {
                transpose_vector(
                    s,
                    &weight[first * ld..],
                    ld,
                    k,
                    &mut panel[vector..],
                    columns,
                );
            } else {
                transpose_edge::<S>(weight, ld, k, first..n, &mut panel[vector..], columns);
            }
        }
        column += columns;
    }
}

/// One vector of columns: `LANES` rows of `W` become `k` vectors, `columns` values apart.
#[inline(always)]
fn transpose_vector<S: Simd>(
    s: S,
    weight: &[f32],
    ld: usize,
    k: usize,
    panel: &mut [f32],
    columns: usize,
) {
    assert!(weight.len() >= (S::LANES - 1) * ld + k && panel.len() >= (k - 1) * columns + S::LANES);
    for step in 0..k {
        // SAFETY: the assertion covers the last row read and the last vector written.
        unsafe {
            let column = s.gather(weight.as_ptr().add(step), ld);
            s.store(panel.as_mut_ptr().add(step * columns), column);
        }
    }
}

/// As [`transpose_vector`] for the rows `valid` of `W`, fewer than a vector: the rest is zero.
#[inline(always)]
fn transpose_edge<S: Simd>(
    weight: &[f32],
    ld: usize,
    k: usize,
    valid: std::ops::Range<usize>,
    panel: &mut [f32],
    columns: usize,
) {
    for step in 0..k {
        let row = &mut panel[step * columns..][..S::LANES];
        row.fill(0.0);
        row.iter_mut()
            .zip(valid.clone())
            .for_each(|(to, j)| *to = weight[j * ld + step]);
    }
}

/// Packs `B = W` for `W [k, n]` row-major with leading dimension `ld`: the backward product `delta W`.
#[inline(always)]
pub(crate) fn pack_plain<S: Simd>(weight: &[f32], ld: usize, k: usize, n: usize, out: &mut [f32]) {
    for_each_panel::<S>(n, |column, columns, valid| {
        let panel = &mut out[column * k..][..columns * k];
        for (step, row) in panel.chunks_exact_mut(columns).enumerate() {
            row[..valid].copy_from_slice(&weight[step * ld + column..][..valid]);
            row[valid..].fill(0.0);
        }
    });
}

/// As [`pack_transposed`] with pairs of consecutive `k` rounded to bf16 in one word; an odd last `k` is paired with zero.
#[inline(always)]
pub(crate) fn pack_bf16<S: Simd>(weight: &[f32], k: usize, n: usize, out: &mut [f32]) {
    let pairs = k.div_ceil(2);
    for_each_panel::<S>(n, |column, columns, valid| {
        let panel = &mut out[column * pairs..][..columns * pairs];
        for (pair, row) in panel.chunks_exact_mut(columns).enumerate() {
            for (j, word) in row.iter_mut().enumerate() {
                let at = |i: usize| {
                    if j < valid && i < k {
                        weight[(column + j) * k + i]
                    } else {
                        0.0
                    }
                };
                *word = f32::from_bits(
                    u32::from(round_bf16(at(2 * pair)))
                        | u32::from(round_bf16(at(2 * pair + 1))) << 16,
                );
            }
        }
    });
}

fn round_bf16(x: f32) -> u16 {
    let mut words = [0_u16; 8];
    let lanes = [x; 8];
    // SAFETY: eight readable and eight writable values; the portable set runs everywhere.
    unsafe { Portable.store_bf16(words.as_mut_ptr(), Portable.load(lanes.as_ptr())) };
    words[0]
}
