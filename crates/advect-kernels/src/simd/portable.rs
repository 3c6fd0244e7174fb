//! Eight lanes in plain Rust; the compiler maps them to whatever the target has.

use super::Simd;

/// The portable instruction set.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Portable;

type Lanes = [f32; 8];

#[inline(always)]
fn map(a: Lanes, f: impl Fn(f32) -> f32) -> Lanes {
    std::array::from_fn(|i| f(a[i]))
}

#[inline(always)]
fn zip(a: Lanes, b: Lanes, f: impl Fn(f32, f32) -> f32) -> Lanes {
    std::array::from_fn(|i| f(a[i], b[i]))
}

/// The two bf16 halves of a word, as f32.
#[inline(always)]
fn halves(word: f32) -> (f32, f32) {
    let bits = word.to_bits();
    (
        f32::from_bits(bits << 16),
        f32::from_bits(bits & 0xffff_0000),
    )
}

/// Nearest-even rounding of a finite value to bf16.
#[inline(always)]
pub(super) fn to_bf16(x: f32) -> u16 {
    let bits = x.to_bits();
    ((bits + 0x7fff + ((bits >> 16) & 1)) >> 16) as u16
}

impl Simd for Portable {
    type V = Lanes;
    const LANES: usize = 8;
    const TILE_ROWS: usize = 4;

    #[inline(always)]
    unsafe fn splat(self, x: f32) -> Lanes {
        [x; 8]
    }
    #[inline(always)]
    unsafe fn load(self, from: *const f32) -> Lanes {
        // SAFETY: the caller gives eight readable values.
        unsafe { from.cast::<Lanes>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32, v: Lanes) {
        // SAFETY: the caller gives eight writable values.
        unsafe { to.cast::<Lanes>().write_unaligned(v) }
    }
    #[inline(always)]
    unsafe fn gather(self, from: *const f32, stride: usize) -> Lanes {
        // SAFETY: the caller gives eight readable values at that distance.
        std::array::from_fn(|i| unsafe { *from.add(i * stride) })
    }
    #[inline(always)]
    unsafe fn add(self, a: Lanes, b: Lanes) -> Lanes {
        zip(a, b, |a, b| a + b)
    }
    #[inline(always)]
    unsafe fn sub(self, a: Lanes, b: Lanes) -> Lanes {
        zip(a, b, |a, b| a - b)
    }
    #[inline(always)]
    unsafe fn mul(self, a: Lanes, b: Lanes) -> Lanes {
        zip(a, b, |a, b| a * b)
    }
    #[inline(always)]
    unsafe fn fma(self, a: Lanes, b: Lanes, c: Lanes) -> Lanes {
        std::array::from_fn(|i| a[i] * b[i] + c[i])
    }
    #[inline(always)]
    unsafe fn max(self, a: Lanes, b: Lanes) -> Lanes {
        zip(a, b, |a, b| if a > b { a } else { b })
    }
    #[inline(always)]
    unsafe fn min(self, a: Lanes, b: Lanes) -> Lanes {
        zip(a, b, |a, b| if a < b { a } else { b })
    }
    #[inline(always)]
    unsafe fn recip(self, a: Lanes) -> Lanes {
        map(a, |a| 1.0 / a)
    }
    #[inline(always)]
    unsafe fn round(self, a: Lanes) -> Lanes {
        map(a, f32::round_ties_even)
    }
    #[inline(always)]
    unsafe fn exp2_int(self, n: Lanes) -> Lanes {
        map(n, |n| f32::from_bits(((n as i32 + 127) as u32) << 23))
    }
    #[inline(always)]
    unsafe fn where_positive(self, a: Lanes, b: Lanes) -> Lanes {
        zip(a, b, |a, b| if a > 0.0 { b } else { 0.0 })
    }
    #[inline(always)]
    unsafe fn sum(self, a: Lanes) -> f32 {
        ((a[0] + a[4]) + (a[2] + a[6])) + ((a[1] + a[5]) + (a[3] + a[7]))
    }
    #[inline(always)]
    unsafe fn dot_bf16(self, a: Lanes, b: Lanes, acc: Lanes) -> Lanes {
        std::array::from_fn(|i| {
            let ((a_0, a_1), (b_0, b_1)) = (halves(a[i]), halves(b[i]));
            acc[i] + a_0 * b_0 + a_1 * b_1
        })
    }
    #[inline(always)]
    unsafe fn store_bf16(self, to: *mut u16, v: Lanes) {
        let words: [u16; 8] = std::array::from_fn(|i| to_bf16(v[i]));
        // SAFETY: the caller gives eight writable values.
        unsafe { to.cast::<[u16; 8]>().write_unaligned(words) }
    }
}
