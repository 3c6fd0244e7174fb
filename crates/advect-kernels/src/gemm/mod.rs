//! Matrix products on register tiles, with what comes before and after fused in.
//!
//! A product `C = A B` is cut into panels of `2 LANES` columns of `B`; a panel stays in the first-level cache while all rows
//! of `A` pass by in tiles of `TILE_ROWS`. Every element of `C` is one chain of multiply-adds over `k` in rising order,
//! whatever the tile that it falls in, so results do not depend on how rows are cut into blocks.
#![allow(unsafe_code)] // raw pointers: tiles of one buffer are written by different threads

#[cfg(target_arch = "x86_64")]
mod amx;
mod pack;
mod tile;

pub(crate) use pack::{PackedPanels, pack_bf16, pack_plain, pack_transposed};

use crate::mlp::Activation;
use crate::simd::{Kernel, Simd, dispatch, math};
use tile::{Bf16, F32, multiply_tile};

/// Largest register tile, in values: 12 rows of 32.
const SCRATCH: usize = 12 * 32;

/// Rows that a left operand of bf16 pairs must be readable up to a multiple of.
pub(crate) const BF16_ROWS: usize = 32;

/// Columns of a panel: two vectors.
pub(crate) const fn panel_width<S: Simd>() -> usize {
    2 * S::LANES
}

/// The left operand: element `(i, k)` lies at `base + i row_stride + k k_stride`.
#[derive(Clone, Copy)]
pub(crate) struct Left {
    pub base: *const f32,
    pub row_stride: usize,
    pub k_stride: usize,
}

impl Left {
    /// A row-major matrix.
    pub fn rows(base: *const f32, row_stride: usize) -> Self {
        Self {
            base,
            row_stride,
            k_stride: 1,
        }
    }
}

/// The output: element `(i, j)` lies at `base + i ld + j`.
#[derive(Clone, Copy)]
pub(crate) struct Out {
    pub base: *mut f32,
    pub ld: usize,
}

impl Out {
    /// The finished rows as the left operand of the next product.
    pub fn as_left(self) -> Left {
        Left::rows(self.base, self.ld)
    }
}

/// The right operand `[k, n]`: panels packed one after the other, or rows of a matrix with leading dimension `ld`
/// (which must be readable up to the next multiple of the panel width).
#[derive(Clone, Copy)]
pub(crate) enum Right {
    /// Output of [`pack`].
    Packed(*const f32),
    /// Row-major matrix.
    Rows { base: *const f32, ld: usize },
}

/// What an output row starts from.
#[derive(Clone, Copy)]
pub(crate) enum Start {
    /// Zero.
    Zero,
    /// A vector of `n` values shared by all rows.
    Bias(*const f32),
    /// Row `i / per` of a matrix that is readable up to the next multiple of the panel width.
    Rows {
        base: *const f32,
        ld: usize,
        first: usize,
        per: usize,
    },
    /// The present content of the output.
    Output,
}

/// What happens to a finished row.
#[derive(Clone, Copy)]
pub(crate) enum Finish {
    /// Nothing.
    Store,
    /// `a(z)`.
    Activate(Activation),
    /// `a(z)`, and `a'(z)` into a matrix of the output's shape.
    ActivateKeep {
        activation: Activation,
        slope: *mut f32,
        ld: usize,
    },
    /// Times row `i / per` of a matrix.
    Scale {
        base: *const f32,
        ld: usize,
        first: usize,
        per: usize,
    },
    /// `a(z)` rounded to bf16, two to a word.
    ActivateBf16(Activation),
}

/// One product with its surroundings.
pub(crate) struct Product {
    pub left: Left,
    pub right: Right,
    pub rows: usize,
    pub k: usize,
    pub n: usize,
    pub start: Start,
    pub finish: Finish,
    pub out: Out,
    /// Operands hold pairs of bf16 values along `k` (`k` counts the pairs).
    pub bf16: bool,
}

/// Runs a product on the calling thread.
///
/// # Safety
/// All pointers of `p` cover what its sizes, strides and leading dimensions say, and `out` is not aliased.
pub(crate) unsafe fn multiply(p: &Product) {
    dispatch(p);
}

impl Kernel for &Product {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        // SAFETY: `multiply` is the only caller, and its caller vouches for the operands.
        unsafe { run(s, self) };
    }
}

#[inline(always)]
unsafe fn run<S: Simd>(s: S, p: &Product) {
    #[cfg(target_arch = "x86_64")]
    if S::TILES && amx::takes(p) {
        // SAFETY: the caller's promise, and `TILES` says that the unit is there and permitted.
        return unsafe { amx::multiply(s, p) };
    }
    let width = panel_width::<S>();
    let mut column = 0;
    while column < p.n {
        let mut row = 0;
        while row < p.rows {
            let taken = tile_rows::<S>(p.rows - row);
            // SAFETY: the tile lies inside the product.
            unsafe { run_tile(s, p, row, taken, column) };
            row += taken;
        }
        column += width;
    }
}

/// Rows of the next tile: the full height while there are as many, then the smaller heights.
#[inline(always)]
fn tile_rows<S: Simd>(left: usize) -> usize {
    if left >= S::TILE_ROWS {
        S::TILE_ROWS
    } else if left >= 4 {
        4
    } else {
        1
    }
}

/// Whether the panel at `column` needs its second vector.
#[inline(always)]
fn is_wide<S: Simd>(n: usize, column: usize) -> bool {
    n - column > S::LANES
}

#[inline(always)]
unsafe fn run_tile<S: Simd>(s: S, p: &Product, row: usize, rows: usize, column: usize) {
    let mut scratch = std::mem::MaybeUninit::<[f32; SCRATCH]>::uninit();
    let c = scratch.as_mut_ptr().cast::<f32>();
    let wide = is_wide::<S>(p.n, column);
    let columns = if wide { panel_width::<S>() } else { S::LANES };
    // SAFETY: `c` holds rows x columns values; operands cover the tile as `multiply` requires.
    unsafe {
        start_tile(s, p, row, rows, column, columns, c);
        let a = p.left.base.add(row * p.left.row_stride);
        let (b, ld) = match p.right {
            Right::Packed(base) => (base.add(column * p.k), columns),
            Right::Rows { base, ld } => (base.add(column), ld),
        };
        if p.bf16 {
            multiply_tile::<S, Bf16>(s, rows, wide, p.k, a, &p.left, b, ld, c);
        } else {
            multiply_tile::<S, F32>(s, rows, wide, p.k, a, &p.left, b, ld, c);
        }
        finish_tile(s, p, row, rows, column, columns, c);
    }
}

#[inline(always)]
unsafe fn start_tile<S: Simd>(
    s: S,
    p: &Product,
    row: usize,
    rows: usize,
    column: usize,
    columns: usize,
    c: *mut f32,
) {
    let valid = columns.min(p.n - column);
    for i in 0..rows {
        // SAFETY: sources cover the rows and columns of the product.
        unsafe {
            let to = c.add(i * columns);
            match p.start {
                Start::Zero => fill_zero(s, to, columns),
                Start::Bias(bias) => copy_row(s, bias.add(column), to, valid, columns),
                Start::Rows {
                    base,
                    ld,
                    first,
                    per,
                } => {
                    let from = base.add((first + row + i) / per * ld + column);
                    copy_row(s, from, to, valid, columns);
                }
                Start::Output => copy_row(
                    s,
                    p.out.base.add((row + i) * p.out.ld + column),
                    to,
                    valid,
                    columns,
                ),
            }
        }
    }
}

#[inline(always)]
unsafe fn fill_zero<S: Simd>(s: S, to: *mut f32, columns: usize) {
    let mut j = 0;
    while j < columns {
        // SAFETY: `to` holds `columns`, a multiple of the lanes.
        unsafe { s.store(to.add(j), s.splat(0.0)) };
        j += S::LANES;
    }
}

/// Copies `valid` values and fills up with zeros to `columns`.
#[inline(always)]
unsafe fn copy_row<S: Simd>(s: S, from: *const f32, to: *mut f32, valid: usize, columns: usize) {
    // SAFETY: `from` holds `valid` values and `to` holds `columns`.
    unsafe {
        if valid == columns {
            let mut j = 0;
            while j < columns {
                s.store(to.add(j), s.load(from.add(j)));
                j += S::LANES;
            }
        } else {
            fill_zero(s, to, columns);
            std::ptr::copy_nonoverlapping(from, to, valid);
        }
    }
}

#[inline(always)]
unsafe fn finish_tile<S: Simd>(
    s: S,
    p: &Product,
    row: usize,
    rows: usize,
    column: usize,
    columns: usize,
    c: *mut f32,
) {
    let valid = columns.min(p.n - column);
    for i in 0..rows {
        // SAFETY: the tile lies inside the output, and companions have its shape.
        unsafe {
            let z = c.add(i * columns);
            let out = p.out.base.add((row + i) * p.out.ld + column);
            match p.finish {
                Finish::Store => copy_valid(s, z, out, valid, columns),
                Finish::Activate(activation) => {
                    activate_row(s, activation, z, columns);
                    copy_valid(s, z, out, valid, columns);
                }
                Finish::ActivateKeep {
                    activation,
                    slope,
                    ld,
                } => {
                    let slope = slope.add((row + i) * ld + column);
                    keep_slope(s, activation, z, slope, valid, columns);
                    copy_valid(s, z, out, valid, columns);
                }
                Finish::Scale {
                    base,
                    ld,
                    first,
                    per,
                } => {
                    let by = base.add((first + row + i) / per * ld + column);
                    scale_row(s, z, by, valid, columns);
                    copy_valid(s, z, out, valid, columns);
                }
                Finish::ActivateBf16(activation) => {
                    let out = p
                        .out
                        .base
                        .add((row + i) * p.out.ld)
                        .cast::<u16>()
                        .add(column);
                    store_bf16(s, activation, z, out, columns);
                }
            }
        }
    }
}

#[inline(always)]
unsafe fn activate_row<S: Simd>(s: S, activation: Activation, z: *mut f32, columns: usize) {
    let mut j = 0;
    while j < columns {
        // SAFETY: `z` holds `columns`, a multiple of the lanes.
        unsafe {
            s.store(
                z.add(j),
                math::activate_value(s, activation, s.load(z.add(j))),
            )
        };
        j += S::LANES;
    }
}

#[inline(always)]
unsafe fn copy_valid<S: Simd>(s: S, z: *const f32, out: *mut f32, valid: usize, columns: usize) {
    // SAFETY: `z` holds `columns` values, `out` at least `valid`.
    unsafe {
        if valid == columns {
            copy_row(s, z, out, valid, columns);
        } else {
            std::ptr::copy_nonoverlapping(z, out, valid);
        }
    }
}

#[inline(always)]
unsafe fn keep_slope<S: Simd>(
    s: S,
    activation: Activation,
    z: *mut f32,
    slope: *mut f32,
    valid: usize,
    columns: usize,
) {
    let mut j = 0;
    while j < columns {
        // SAFETY: `z` holds `columns` values; a partial vector of slopes goes through a stack copy.
        unsafe {
            let (value, derivative) = math::activate(s, activation, s.load(z.add(j)));
            s.store(z.add(j), value);
            store_partial(s, slope.add(j), derivative, valid.saturating_sub(j));
        }
        j += S::LANES;
    }
}

#[inline(always)]
unsafe fn store_partial<S: Simd>(s: S, to: *mut f32, v: S::V, valid: usize) {
    // SAFETY: `to` holds `min(valid, LANES)` values.
    unsafe {
        if valid >= S::LANES {
            s.store(to, v);
        } else {
            let mut lanes = [0.0_f32; 16];
            s.store(lanes.as_mut_ptr(), v);
            std::ptr::copy_nonoverlapping(lanes.as_ptr(), to, valid);
        }
    }
}

#[inline(always)]
unsafe fn scale_row<S: Simd>(s: S, z: *mut f32, by: *const f32, valid: usize, columns: usize) {
    // SAFETY: `z` holds `columns` values, `by` holds `valid`.
    unsafe {
        if valid == columns {
            let mut j = 0;
            while j < columns {
                s.store(z.add(j), s.mul(s.load(z.add(j)), s.load(by.add(j))));
                j += S::LANES;
            }
        } else {
            for j in 0..valid {
                *z.add(j) *= *by.add(j);
            }
        }
    }
}

/// Stores all `columns`: a bf16 output has room for whole vectors, and its padding must be finite.
#[inline(always)]
unsafe fn store_bf16<S: Simd>(
    s: S,
    activation: Activation,
    z: *const f32,
    out: *mut u16,
    columns: usize,
) {
    let mut j = 0;
    while j < columns {
        // SAFETY: `z` and `out` hold `columns` values.
        unsafe {
            s.store_bf16(
                out.add(j),
                math::activate_value(s, activation, s.load(z.add(j))),
            )
        };
        j += S::LANES;
    }
}

/// `sum_k a_k b_k` with four vector accumulators, remainders in scalar.
///
/// # Safety
/// Both pointers hold `k` values.
#[inline(always)]
pub(crate) unsafe fn dot<S: Simd>(s: S, a: *const f32, b: *const f32, k: usize) -> f32 {
    // SAFETY: indices stay below `k`.
    unsafe {
        let mut acc = [s.splat(0.0); 4];
        let mut j = 0;
        while j + 4 * S::LANES <= k {
            for (q, acc) in acc.iter_mut().enumerate() {
                let at = j + q * S::LANES;
                *acc = s.fma(s.load(a.add(at)), s.load(b.add(at)), *acc);
            }
            j += 4 * S::LANES;
        }
        while j + S::LANES <= k {
            acc[0] = s.fma(s.load(a.add(j)), s.load(b.add(j)), acc[0]);
            j += S::LANES;
        }
        let mut total = s.sum(s.add(s.add(acc[0], acc[1]), s.add(acc[2], acc[3])));
        while j < k {
            total += *a.add(j) * *b.add(j);
            j += 1;
        }
        total
    }
}
