//! The register tile: `rows x (1 or 2 vectors)` of the output accumulate over `k` without touching memory.

use super::Left;
use crate::simd::Simd;

/// How two words of the operands are combined into an accumulator.
pub(super) trait Step<S: Simd> {
    unsafe fn step(s: S, a: S::V, b: S::V, acc: S::V) -> S::V;
}

/// Words are f32 values.
pub(super) struct F32;
/// Words are pairs of bf16 values.
pub(super) struct Bf16;

impl<S: Simd> Step<S> for F32 {
    #[inline(always)]
    unsafe fn step(s: S, a: S::V, b: S::V, acc: S::V) -> S::V {
        // SAFETY: vector arithmetic of the dispatched instruction set.
        unsafe { s.fma(a, b, acc) }
    }
}

impl<S: Simd> Step<S> for Bf16 {
    #[inline(always)]
    unsafe fn step(s: S, a: S::V, b: S::V, acc: S::V) -> S::V {
        // SAFETY: vector arithmetic of the dispatched instruction set.
        unsafe { s.dot_bf16(a, b, acc) }
    }
}

/// `C += A B` for a tile; `c` holds `rows x columns` packed values, `rows` is a height that `tile_rows` gives.
#[inline(always)]
pub(super) unsafe fn multiply_tile<S: Simd, P: Step<S>>(
    s: S,
    rows: usize,
    wide: bool,
    k: usize,
    a: *const f32,
    left: &Left,
    b: *const f32,
    ld: usize,
    c: *mut f32,
) {
    // SAFETY: forwarded from the caller; `rows` is one of the heights that `tile_rows` gives.
    unsafe {
        match (rows, wide) {
            (12, true) => run::<S, P, 12, 2>(s, k, a, left, b, ld, c),
            (12, false) => run::<S, P, 12, 1>(s, k, a, left, b, ld, c),
            (6, true) => run::<S, P, 6, 2>(s, k, a, left, b, ld, c),
            (6, false) => run::<S, P, 6, 1>(s, k, a, left, b, ld, c),
            (4, true) => run::<S, P, 4, 2>(s, k, a, left, b, ld, c),
            (4, false) => run::<S, P, 4, 1>(s, k, a, left, b, ld, c),
            (_, true) => run::<S, P, 1, 2>(s, k, a, left, b, ld, c),
            (_, false) => run::<S, P, 1, 1>(s, k, a, left, b, ld, c),
        }
    }
}

#[inline(always)]
unsafe fn run<S: Simd, P: Step<S>, const ROWS: usize, const VECTORS: usize>(
    s: S,
    k: usize,
    a: *const f32,
    left: &Left,
    b: *const f32,
    ld: usize,
    c: *mut f32,
) {
    // SAFETY: `c` holds ROWS x VECTORS vectors, `a` and `b` cover `k` steps.
    unsafe {
        let mut acc = [[s.splat(0.0); VECTORS]; ROWS];
        for (i, row) in acc.iter_mut().enumerate() {
            for (j, v) in row.iter_mut().enumerate() {
                *v = s.load(c.add((i * VECTORS + j) * S::LANES));
            }
        }
        let (mut a, mut b) = (a, b);
        for _ in 0..k {
            let mut panel = [s.splat(0.0); VECTORS];
            for (j, v) in panel.iter_mut().enumerate() {
                *v = s.load(b.add(j * S::LANES));
            }
            for (i, row) in acc.iter_mut().enumerate() {
                let value = s.splat(*a.add(i * left.row_stride));
                for (v, &panel) in row.iter_mut().zip(&panel) {
                    *v = P::step(s, value, panel, *v);
                }
            }
            a = a.add(left.k_stride);
            b = b.add(ld);
        }
        for (i, row) in acc.iter().enumerate() {
            for (j, &v) in row.iter().enumerate() {
                s.store(c.add((i * VECTORS + j) * S::LANES), v);
            }
        }
    }
}
