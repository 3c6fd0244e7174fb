//! Sums and conversions of rows.
#![allow(unsafe_code)] // rows are raw parts of buffers that blocks share

use super::norm::Stretch;
use crate::gemm::Out;
use crate::simd::{Kernel, Simd, dispatch};

/// Runs one of the passes over rows.
///
/// # Safety
/// The matrices of the pass hold its rows in whole vectors, and nobody else uses what it writes.
pub(super) unsafe fn run(pass: impl Kernel<Out = ()>) {
    dispatch(pass);
}

impl Out {
    /// A row of the matrix.
    ///
    /// # Safety
    /// The matrix has the row.
    #[inline(always)]
    pub(super) unsafe fn row(self, row: usize) -> *mut f32 {
        // SAFETY: the caller's promise.
        unsafe { self.base.add(row * self.ld) }
    }
}

/// `to = a + b` on whole vectors; `to` may be `a` or `b`.
///
/// Through [`run`] only.
pub(super) struct Sum {
    pub a: Out,
    pub b: Out,
    pub to: Out,
    pub rows: usize,
    pub width: usize,
}

impl Kernel for Sum {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for row in 0..self.rows {
            for at in (0..self.width).step_by(S::LANES) {
                // SAFETY: the promise of `run`.
                unsafe {
                    let (a, b) = (self.a.row(row).add(at), self.b.row(row).add(at));
                    s.store(self.to.row(row).add(at), s.add(s.load(a), s.load(b)));
                }
            }
        }
    }
}

/// Rounds rows to bf16, two to a word, whole vectors; the padding of `from` is overwritten.
///
/// Through [`run`] only.
pub(super) struct ToBf16<'a> {
    pub stretch: Stretch<'a>,
    pub from: Out,
    pub to: Out,
}

impl Kernel for ToBf16<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for row in 0..self.stretch.rows {
            // SAFETY: the promise of `run`.
            unsafe {
                let (from, to) = (self.from.row(row), self.to.row(row).cast::<u16>());
                self.stretch.pad::<S>(from);
                for at in self.stretch.vectors::<S>() {
                    s.store_bf16(to.add(at), s.load(from.add(at)));
                }
            }
        }
    }
}
