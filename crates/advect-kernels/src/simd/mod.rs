//! Vector instructions behind one small trait, chosen at run time.
//!
//! A kernel is written once over [`Simd`] and run by [`dispatch`], which picks AVX-512, AVX2 with FMA or the portable
//! eight-lane form (which compilers turn into NEON and SSE). Every method must be inlined into the entry function that
//! carries the target features, hence `#[inline(always)]` throughout.
#![allow(unsafe_code)] // vector loads and stores take raw pointers, and feature-gated entry points are unsafe to call

mod portable;
#[cfg(target_arch = "x86_64")]
mod x86;

pub(crate) mod math;
#[cfg(test)]
mod tests;

pub(crate) use portable::Portable;

/// Vector operations of one instruction set, in single precision.
///
/// # Safety
/// Methods may only run on a processor that has the instruction set, which [`dispatch`] guarantees; loads and stores
/// take pointers to at least [`Simd::LANES`] values.
pub(crate) trait Simd: Copy + Send + Sync + 'static {
    /// A vector of `LANES` values.
    type V: Copy;
    /// Values in a vector.
    const LANES: usize;
    /// Rows of the register tile of a matrix product.
    const TILE_ROWS: usize;
    /// Whether bf16 products may use the tile unit.
    const TILES: bool = false;

    unsafe fn splat(self, x: f32) -> Self::V;
    unsafe fn load(self, from: *const f32) -> Self::V;
    unsafe fn store(self, to: *mut f32, v: Self::V);
    /// The values at `from`, `from + stride`, `from + 2 stride`, ...
    unsafe fn gather(self, from: *const f32, stride: usize) -> Self::V;
    unsafe fn add(self, a: Self::V, b: Self::V) -> Self::V;
    unsafe fn sub(self, a: Self::V, b: Self::V) -> Self::V;
    unsafe fn mul(self, a: Self::V, b: Self::V) -> Self::V;
    /// `a b + c`, one rounding where the hardware has it.
    unsafe fn fma(self, a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    unsafe fn max(self, a: Self::V, b: Self::V) -> Self::V;
    unsafe fn min(self, a: Self::V, b: Self::V) -> Self::V;
    /// `1 / a` within two units in the last place, for finite `a` in the normal range.
    unsafe fn recip(self, a: Self::V) -> Self::V;
    /// Nearest integer, ties to even.
    unsafe fn round(self, a: Self::V) -> Self::V;
    /// `2^n` for integral `n` in `[-126, 127]`.
    unsafe fn exp2_int(self, n: Self::V) -> Self::V;
    /// `a > 0 ? b : 0`.
    unsafe fn where_positive(self, a: Self::V, b: Self::V) -> Self::V;
    /// Sum of the lanes in a fixed order.
    unsafe fn sum(self, a: Self::V) -> f32;
    /// `acc + a_0 b_0 + a_1 b_1` per lane: both words hold two bf16 values, the sums are f32.
    unsafe fn dot_bf16(self, a: Self::V, b: Self::V, acc: Self::V) -> Self::V;
    /// Rounds `LANES` values to bf16 (nearest even) and stores them at `to`.
    unsafe fn store_bf16(self, to: *mut u16, v: Self::V);
}

/// A computation that is generic over the instruction set.
pub(crate) trait Kernel {
    /// What it returns.
    type Out;
    /// Runs it; implementations are `#[inline(always)]`.
    fn run<S: Simd>(self, simd: S) -> Self::Out;
}

/// The instruction sets that kernels are compiled for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// Eight lanes in portable code.
    Portable,
    /// AVX2 with FMA.
    Avx2,
    /// AVX-512 (F, BW, DQ, VL).
    Avx512,
    /// AVX-512 with bf16 dot products.
    Avx512Bf16,
    /// AVX-512 with bf16 dot products and the tile unit (AMX).
    Avx512Amx,
}

/// The best instruction set of this processor. `ADVECT_SIMD=portable|avx2|avx512|avx512bf16` lowers it.
pub fn level() -> Level {
    static LEVEL: std::sync::OnceLock<Level> = std::sync::OnceLock::new();
    *LEVEL.get_or_init(|| {
        let best = detect();
        let wanted = match std::env::var("ADVECT_SIMD").as_deref() {
            Ok("portable") => Level::Portable,
            Ok("avx2") => Level::Avx2,
            Ok("avx512") => Level::Avx512,
            Ok("avx512bf16") => Level::Avx512Bf16,
            _ => best,
        };
        wanted.min(best)
    })
}

#[cfg(target_arch = "x86_64")]
fn detect() -> Level {
    let avx512 = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl");
    let bf16 = avx512 && is_x86_feature_detected!("avx512bf16");
    if bf16 && x86::has_tile_unit() {
        Level::Avx512Amx
    } else if bf16 {
        Level::Avx512Bf16
    } else if avx512 {
        Level::Avx512
    } else if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
        Level::Avx2
    } else {
        Level::Portable
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn detect() -> Level {
    Level::Portable
}

/// Runs `kernel` with the best instruction set of this processor.
pub(crate) fn dispatch<K: Kernel>(kernel: K) -> K::Out {
    dispatch_at(level(), kernel)
}

/// Runs `kernel` with the instruction set `level`, which must not exceed what the processor has.
#[cfg(target_arch = "x86_64")]
fn dispatch_at<K: Kernel>(level: Level, kernel: K) -> K::Out {
    // SAFETY: `level` comes from `detect` (or is lower), so the processor has the instruction set.
    unsafe {
        match level {
            Level::Avx512Amx => x86::run_avx512_amx(kernel),
            Level::Avx512Bf16 => x86::run_avx512_bf16(kernel),
            Level::Avx512 => x86::run_avx512(kernel),
            Level::Avx2 => x86::run_avx2(kernel),
            Level::Portable => kernel.run(Portable),
        }
    }
}

#[cfg(not(target_arch = "x86_64"))]
fn dispatch_at<K: Kernel>(_level: Level, kernel: K) -> K::Out {
    kernel.run(Portable)
}

/// Every level that this processor can run, lowest first: for tests that compare them.
#[cfg(test)]
pub(crate) fn available() -> Vec<Level> {
    let all = [
        Level::Portable,
        Level::Avx2,
        Level::Avx512,
        Level::Avx512Bf16,
        Level::Avx512Amx,
    ];
    let best = all.iter().position(|l| *l == detect()).unwrap_or(0);
    all[..=best].to_vec()
}

/// [`dispatch_at`] for tests, over [`available`] levels only.
#[cfg(test)]
pub(crate) fn run_at<K: Kernel>(level: Level, kernel: K) -> K::Out {
    assert!(
        available().contains(&level),
        "{level:?} is not available here"
    );
    dispatch_at(level, kernel)
}
