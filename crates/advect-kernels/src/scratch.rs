//! Reusable, cache-line aligned work memory: a steady update allocates nothing here.
#![allow(unsafe_code)] // a vector of cache lines is viewed as a slice of f32

use std::ops::{Deref, DerefMut};
use std::sync::Mutex;

const LANES: usize = 16;

#[derive(Clone, Copy)]
#[repr(align(64))]
struct Line(#[allow(dead_code)] [f32; LANES]); // read through slices of f32

static POOL: Mutex<Vec<Vec<Line>>> = Mutex::new(Vec::new());

/// Buffers kept for reuse at most.
const KEPT: usize = 96;

/// A work buffer of unspecified, initialised content; goes back to the pool when dropped.
pub(crate) struct Scratch {
    lines: Vec<Line>,
    len: usize,
}

impl Scratch {
    /// A buffer of `len` values.
    pub(crate) fn take(len: usize) -> Self {
        let wanted = len.div_ceil(LANES);
        let mut lines = reuse(wanted).unwrap_or_default();
        if lines.len() < wanted {
            lines.resize(wanted, Line([0.0; LANES]));
        }
        Self { lines, len }
    }
}

/// The smallest kept buffer that is large enough and not wastefully so.
fn reuse(wanted: usize) -> Option<Vec<Line>> {
    let mut pool = POOL.lock().ok()?;
    let fits = |lines: &Vec<Line>| lines.len() >= wanted && lines.len() <= 2 * wanted + 64;
    let best = (0..pool.len())
        .filter(|&i| fits(&pool[i]))
        .min_by_key(|&i| pool[i].len())?;
    Some(pool.swap_remove(best))
}

impl Drop for Scratch {
    fn drop(&mut self) {
        if let Ok(mut pool) = POOL.lock()
            && pool.len() < KEPT
        {
            pool.push(std::mem::take(&mut self.lines));
        }
    }
}

impl Deref for Scratch {
    type Target = [f32];
    fn deref(&self) -> &[f32] {
        // SAFETY: the lines are `LANES` contiguous values each and cover `len`.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl DerefMut for Scratch {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as in `deref`, and `self` is borrowed mutably.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}

/// A row length that holds `width` values in whole vectors and does not put equal columns of all rows into one cache set.
pub(crate) fn leading_dim(width: usize) -> usize {
    let whole = width.next_multiple_of(2 * LANES);
    if whole.is_multiple_of(256) {
        whole + LANES
    } else {
        whole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffers_are_aligned_and_reused() {
        let first = Scratch::take(100);
        assert_eq!(first.as_ptr().align_offset(64), 0);
        assert_eq!(first.len(), 100);
        assert_eq!(leading_dim(256), 272);
        assert_eq!(leading_dim(23), 32);
    }
}
