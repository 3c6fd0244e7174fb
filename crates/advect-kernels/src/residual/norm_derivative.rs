//! Cotangent and tangent of LayerNorm and activation on rows; formulas in [`super::norm`].
#![allow(unsafe_code)] // rows are raw parts of buffers that blocks share

use super::norm::{Affine, Keep, Stretch};
use crate::gemm::Out;
use crate::scratch::leading_dim;
use crate::simd::{Kernel, Simd};

/// `to = z_bar(from)`; the padding of `from` is overwritten, `to` may be `from`. `sums` (gain, then shift, each padded to
/// `leading_dim(width)`) grow by the gradients of gain and shift.
///
/// Through [`super::rows::run`] only, with what the forward pass kept.
pub(super) struct Backward<'a> {
    pub stretch: Stretch<'a>,
    pub keep: Keep,
    pub from: Out,
    pub to: Out,
    pub sums: *mut f32,
}

impl Kernel for Backward<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for row in 0..self.stretch.rows {
            // SAFETY: the promise of `run`.
            unsafe {
                match self.stretch.affine {
                    Some(affine) => self.normed_row(s, affine, row),
                    None => self.plain_row(s, row),
                }
            }
        }
    }
}

impl Backward<'_> {
    #[inline(always)]
    unsafe fn plain_row<S: Simd>(&self, s: S, row: usize) {
        // SAFETY: the row lies inside the matrices.
        unsafe {
            let (from, slope) = (self.from.row(row), self.keep.slope.row(row));
            for at in self.stretch.vectors::<S>() {
                let p = s.mul(s.load(from.add(at)), s.load(slope.add(at)));
                s.store(self.to.row(row).add(at), p);
            }
        }
    }

    #[inline(always)]
    unsafe fn normed_row<S: Simd>(&self, s: S, affine: &Affine, row: usize) {
        // SAFETY: the row lies inside the matrices, and `sums` holds two padded rows.
        unsafe {
            let (from, to) = (self.from.row(row), self.to.row(row));
            let (slope, normed) = (self.keep.slope.row(row), self.keep.normed.row(row));
            let shift_sums = self.sums.add(leading_dim(self.stretch.width));
            self.stretch.pad::<S>(from);
            let (mut sum, mut along) = (s.splat(0.0), s.splat(0.0));
            for at in self.stretch.vectors::<S>() {
                let p = s.mul(s.load(from.add(at)), s.load(slope.add(at)));
                let n = s.load(normed.add(at));
                let (gain_sum, shift_sum) = (self.sums.add(at), shift_sums.add(at));
                s.store(gain_sum, s.fma(p, n, s.load(gain_sum)));
                s.store(shift_sum, s.add(p, s.load(shift_sum)));
                let q = s.mul(p, s.load(affine.gain().add(at)));
                s.store(to.add(at), q);
                sum = s.add(sum, q);
                along = s.fma(q, n, along);
            }
            let width = self.stretch.width as f32;
            let project = Project {
                mean: s.sum(sum) / width,
                along: s.sum(along) / width,
                scale: *self.keep.scale.add(row),
            };
            for at in self.stretch.vectors::<S>() {
                let n = s.load(normed.add(at));
                s.store(to.add(at), project.apply(s, s.load(to.add(at)), n));
            }
        }
    }
}

/// `r (q - mean(q) - n mean(q n))`: the derivative of the normalised row, which is symmetric.
struct Project {
    mean: f32,
    along: f32,
    scale: f32,
}

impl Project {
    #[inline(always)]
    unsafe fn apply<S: Simd>(&self, s: S, q: S::V, n: S::V) -> S::V {
        // SAFETY: pure vector arithmetic of the dispatched instruction set.
        unsafe {
            let moved = s.sub(q, s.splat(self.mean));
            let moved = s.fma(n, s.splat(-self.along), moved);
            s.mul(moved, s.splat(self.scale))
        }
    }
}

/// `to = u'(from)` for `per_row` tangents of every row; the padding of `from` is overwritten, `to` may be `from`.
///
/// Through [`super::rows::run`] only, with what the forward pass kept; `from` and `to` hold `rows x per_row` rows.
pub(super) struct Tangent<'a> {
    pub stretch: Stretch<'a>,
    pub keep: Keep,
    pub per_row: usize,
    pub from: Out,
    pub to: Out,
}

impl Kernel for Tangent<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for index in 0..self.stretch.rows * self.per_row {
            // SAFETY: the promise of `run`.
            unsafe { self.row(s, index) };
        }
    }
}

impl Tangent<'_> {
    #[inline(always)]
    unsafe fn row<S: Simd>(&self, s: S, index: usize) {
        // SAFETY: the rows lie inside the matrices.
        unsafe {
            let row = index / self.per_row;
            let (from, to) = (self.from.row(index), self.to.row(index));
            let slope = self.keep.slope.row(row);
            let normed = match self.stretch.affine {
                Some(affine) => {
                    let normed = self.keep.normed.row(row);
                    Some((affine, normed, self.project(s, index, normed)))
                }
                None => None,
            };
            for at in self.stretch.vectors::<S>() {
                let mut z_dot = s.load(from.add(at));
                if let Some((affine, normed, project)) = &normed {
                    let moved = project.apply(s, z_dot, s.load(normed.add(at)));
                    z_dot = s.mul(moved, s.load(affine.gain().add(at)));
                }
                s.store(to.add(at), s.mul(z_dot, s.load(slope.add(at))));
            }
        }
    }

    #[inline(always)]
    unsafe fn project<S: Simd>(&self, s: S, index: usize, normed: *const f32) -> Project {
        // SAFETY: the rows lie inside the matrices.
        unsafe {
            let from = self.from.row(index);
            self.stretch.pad::<S>(from);
            let (mut sum, mut along) = (s.splat(0.0), s.splat(0.0));
            for at in self.stretch.vectors::<S>() {
                let z_dot = s.load(from.add(at));
                sum = s.add(sum, z_dot);
                along = s.fma(z_dot, s.load(normed.add(at)), along);
            }
            let width = self.stretch.width as f32;
            Project {
                mean: s.sum(sum) / width,
                along: s.sum(along) / width,
                scale: *self.keep.scale.add(index / self.per_row),
            }
        }
    }
}
