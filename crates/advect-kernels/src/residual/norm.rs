//! LayerNorm and activation on rows.
//!
//! With `m` and `v` the mean and the population variance of a row `z` of width `w`, `r = (v + eps)^(-1/2)`,
//! `n = r (z - m)` and `u = a(g n + b)`:
//! cotangent `p = u_bar a'`, `g_bar = sum p n`, `b_bar = sum p`, `z_bar = r (q - mean(q) - n mean(q n))` with `q = p g`;
//! tangent `u' = a' g r (z' - mean(z') - n mean(z' n))` (Ba, Kiros and Hinton 2016, arXiv 1607.06450).
//! Without LayerNorm `u = a(z)`. Rows are padded to whole vectors.
#![allow(unsafe_code)] // rows are raw parts of buffers that blocks share

use crate::gemm::Out;
use crate::mlp::Activation;
use crate::scratch::{Scratch, leading_dim};
use crate::simd::{Kernel, Simd, math};

/// Gain and shift of a LayerNorm, padded with zeros to whole vectors.
pub(super) struct Affine {
    values: Scratch,
}

impl Affine {
    /// From the gain and the shift one after the other, `width` values each.
    pub fn new(params: &[f32], width: usize) -> Self {
        let ld = leading_dim(width);
        let mut values = Scratch::take(2 * ld);
        values.fill(0.0);
        values[..width].copy_from_slice(&params[..width]);
        values[ld..ld + width].copy_from_slice(&params[width..2 * width]);
        Self { values }
    }

    pub fn gain(&self) -> *const f32 {
        self.values.as_ptr()
    }

    pub fn shift(&self) -> *const f32 {
        self.values[self.values.len() / 2..].as_ptr()
    }
}

/// What every pass over some rows of an activation stage knows.
#[derive(Clone, Copy)]
pub(super) struct Stretch<'a> {
    pub affine: Option<&'a Affine>,
    pub eps: f32,
    pub activation: Activation,
    pub rows: usize,
    pub width: usize,
}

impl Stretch<'_> {
    /// Starts of the vectors of a row.
    pub fn vectors<S: Simd>(&self) -> impl Iterator<Item = usize> + use<S> {
        (0..self.width.next_multiple_of(S::LANES)).step_by(S::LANES)
    }

    /// Puts zeros behind the values of a row, up to whole vectors.
    ///
    /// # Safety
    /// The row is writable up to whole vectors.
    #[inline(always)]
    pub unsafe fn pad<S: Simd>(&self, row: *mut f32) {
        let whole = self.width.next_multiple_of(S::LANES);
        // SAFETY: the caller's promise.
        unsafe { row.add(self.width).write_bytes(0, whole - self.width) };
    }
}

/// What the derivatives need: `a'`, and with LayerNorm `n` and `r` (one value per row).
#[derive(Clone, Copy)]
pub(super) struct Keep {
    pub slope: Out,
    pub normed: Out,
    pub scale: *mut f32,
}

/// `to = u(from)`; the padding of `from` is overwritten, `to` may be `from`.
///
/// Through [`super::rows::run`] only; with LayerNorm `keep.scale` holds a value per row.
pub(super) struct Forward<'a> {
    pub stretch: Stretch<'a>,
    pub from: Out,
    pub to: Out,
    pub keep: Option<Keep>,
}

impl Kernel for Forward<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for row in 0..self.stretch.rows {
            // SAFETY: the promise of `run`.
            unsafe {
                self.stretch.pad::<S>(self.from.row(row));
                match self.stretch.affine {
                    Some(affine) => self.normed_row(s, affine, row),
                    None => self.plain_row(s, row),
                }
            }
        }
    }
}

impl Forward<'_> {
    #[inline(always)]
    unsafe fn plain_row<S: Simd>(&self, s: S, row: usize) {
        // SAFETY: the row lies inside the matrices.
        unsafe {
            let z = self.from.row(row);
            for at in self.stretch.vectors::<S>() {
                self.store(s, row, at, s.load(z.add(at)));
            }
        }
    }

    #[inline(always)]
    unsafe fn normed_row<S: Simd>(&self, s: S, affine: &Affine, row: usize) {
        // SAFETY: the row lies inside the matrices, gain and shift are padded to whole vectors.
        unsafe {
            let scale = self.centre(s, row);
            let r = s.splat(scale);
            let to = self.to.row(row);
            for at in self.stretch.vectors::<S>() {
                let n = s.mul(s.load(to.add(at)), r);
                if let Some(keep) = self.keep {
                    s.store(keep.normed.row(row).add(at), n);
                }
                let (gain, shift) = (affine.gain().add(at), affine.shift().add(at));
                self.store(s, row, at, s.fma(n, s.load(gain), s.load(shift)));
            }
            if let Some(keep) = self.keep {
                *keep.scale.add(row) = scale;
            }
        }
    }

    /// Writes `z - m` to the output row and returns `r`.
    #[inline(always)]
    unsafe fn centre<S: Simd>(&self, s: S, row: usize) -> f32 {
        // SAFETY: the row lies inside the matrices.
        unsafe {
            let (z, to, width) = (self.from.row(row), self.to.row(row), self.stretch.width);
            let mut sum = s.splat(0.0);
            for at in self.stretch.vectors::<S>() {
                sum = s.add(sum, s.load(z.add(at)));
            }
            let mean = s.splat(s.sum(sum) / width as f32);
            for at in self.stretch.vectors::<S>() {
                s.store(to.add(at), s.sub(s.load(z.add(at)), mean));
            }
            self.stretch.pad::<S>(to);
            let mut squares = s.splat(0.0);
            for at in self.stretch.vectors::<S>() {
                let centred = s.load(to.add(at));
                squares = s.fma(centred, centred, squares);
            }
            (s.sum(squares) / width as f32 + self.stretch.eps)
                .sqrt()
                .recip()
        }
    }

    #[inline(always)]
    unsafe fn store<S: Simd>(&self, s: S, row: usize, at: usize, z: S::V) {
        let activation = self.stretch.activation;
        // SAFETY: the vector lies inside the matrices.
        unsafe {
            let value = if let Some(keep) = self.keep {
                let (value, slope) = math::activate(s, activation, z);
                s.store(keep.slope.row(row).add(at), slope);
                value
            } else {
                math::activate_value(s, activation, z)
            };
            s.store(self.to.row(row).add(at), value);
        }
    }
}
