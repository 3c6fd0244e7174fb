//! AVX2 with FMA, AVX-512, and AVX-512 with bf16 dot products.

use std::arch::x86_64::*;

use super::{Kernel, Simd};

/// AVX2 with FMA, eight lanes.
#[derive(Debug, Clone, Copy)]
pub(super) struct Avx2;

/// AVX-512, sixteen lanes; the flags say whether the bf16 dot product and the tile unit are there.
#[derive(Debug, Clone, Copy)]
pub(super) struct Avx512<const BF16: bool, const AMX: bool>;

/// # Safety
/// The processor has AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
pub(super) unsafe fn run_avx2<K: Kernel>(kernel: K) -> K::Out {
    kernel.run(Avx2)
}

/// # Safety
/// The processor has AVX-512 F, BW, DQ and VL.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2,fma")]
pub(super) unsafe fn run_avx512<K: Kernel>(kernel: K) -> K::Out {
    kernel.run(Avx512::<false, false>)
}

/// # Safety
/// The processor has AVX-512 F, BW, DQ, VL and BF16.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")]
pub(super) unsafe fn run_avx512_bf16<K: Kernel>(kernel: K) -> K::Out {
    kernel.run(Avx512::<true, false>)
}

/// # Safety
/// The processor has AVX-512 F, BW, DQ, VL and BF16, and [`has_tile_unit`].
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512bf16,avx2,fma")]
pub(super) unsafe fn run_avx512_amx<K: Kernel>(kernel: K) -> K::Out {
    kernel.run(Avx512::<true, true>)
}

/// Whether the processor has bf16 tiles and the operating system lets this process use them.
pub(super) fn has_tile_unit() -> bool {
    // leaf 7: EDX bit 22 is AMX-BF16, bit 24 AMX-TILE
    const TILES: u32 = (1 << 22) | (1 << 24);
    __cpuid(0).eax >= 7 && __cpuid_count(7, 0).edx & TILES == TILES && may_use_tiles()
}

/// Linux hands the tile registers out on request: `arch_prctl(ARCH_REQ_XCOMP_PERM, XFEATURE_XTILEDATA)`.
#[cfg(target_os = "linux")]
fn may_use_tiles() -> bool {
    let result: isize;
    // SAFETY: the call reads two integers and changes nothing but this process's permission.
    unsafe {
        std::arch::asm!(
            "syscall",
            inlateout("rax") 158_isize => result,
            in("rdi") 0x1023,
            in("rsi") 18,
            out("rcx") _,
            out("r11") _,
            options(nostack),
        );
    }
    result == 0
}

#[cfg(not(target_os = "linux"))]
fn may_use_tiles() -> bool {
    false
}

macro_rules! forward {
    ($($name:ident($($arg:ident: $ty:ty),*) -> $out:ty = $body:expr;)*) => {$(
        #[inline(always)]
        unsafe fn $name(self, $($arg: $ty),*) -> $out {
            // SAFETY: `dispatch` runs this only where the instruction set exists; pointers are the caller's promise.
            unsafe { $body }
        }
    )*};
}

impl Simd for Avx2 {
    type V = __m256;
    const LANES: usize = 8;
    const TILE_ROWS: usize = 6;

    forward! {
        splat(x: f32) -> __m256 = _mm256_set1_ps(x);
        load(from: *const f32) -> __m256 = _mm256_loadu_ps(from);
        store(to: *mut f32, v: __m256) -> () = _mm256_storeu_ps(to, v);
        gather(from: *const f32, stride: usize) -> __m256 = {
            let steps = _mm256_mullo_epi32(_mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7), _mm256_set1_epi32(stride as i32));
            _mm256_i32gather_ps::<4>(from, steps)
        };
        add(a: __m256, b: __m256) -> __m256 = _mm256_add_ps(a, b);
        sub(a: __m256, b: __m256) -> __m256 = _mm256_sub_ps(a, b);
        mul(a: __m256, b: __m256) -> __m256 = _mm256_mul_ps(a, b);
        fma(a: __m256, b: __m256, c: __m256) -> __m256 = _mm256_fmadd_ps(a, b, c);
        max(a: __m256, b: __m256) -> __m256 = _mm256_max_ps(a, b);
        min(a: __m256, b: __m256) -> __m256 = _mm256_min_ps(a, b);
        recip(a: __m256) -> __m256 = _mm256_div_ps(_mm256_set1_ps(1.0), a);
        round(a: __m256) -> __m256 = _mm256_round_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a);
        exp2_int(n: __m256) -> __m256 = {
            let exponent = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
            _mm256_castsi256_ps(_mm256_slli_epi32::<23>(exponent))
        };
        where_positive(a: __m256, b: __m256) -> __m256 =
            _mm256_and_ps(_mm256_cmp_ps::<_CMP_GT_OQ>(a, _mm256_setzero_ps()), b);
        sum(a: __m256) -> f32 = {
            let half = _mm_add_ps(_mm256_castps256_ps128(a), _mm256_extractf128_ps::<1>(a));
            let pair = _mm_add_ps(half, _mm_movehl_ps(half, half));
            _mm_cvtss_f32(_mm_add_ss(pair, _mm_shuffle_ps::<1>(pair, pair)))
        };
        dot_bf16(a: __m256, b: __m256, acc: __m256) -> __m256 = {
            let high = _mm256_castsi256_ps(_mm256_set1_epi32(0xffff_0000_u32 as i32));
            let low = |v| _mm256_castsi256_ps(_mm256_slli_epi32::<16>(_mm256_castps_si256(v)));
            let acc = _mm256_fmadd_ps(low(a), low(b), acc);
            _mm256_fmadd_ps(_mm256_and_ps(a, high), _mm256_and_ps(b, high), acc)
        };
        store_bf16(to: *mut u16, v: __m256) -> () = {
            let bits = _mm256_castps_si256(v);
            let odd = _mm256_and_si256(_mm256_srli_epi32::<16>(bits), _mm256_set1_epi32(1));
            let rounded = _mm256_add_epi32(bits, _mm256_add_epi32(odd, _mm256_set1_epi32(0x7fff)));
            let words = _mm256_srli_epi32::<16>(rounded);
            let packed = _mm_packus_epi32(_mm256_castsi256_si128(words), _mm256_extracti128_si256::<1>(words));
            _mm_storeu_si128(to.cast(), packed)
        };
    }
}

impl<const BF16: bool, const AMX: bool> Simd for Avx512<BF16, AMX> {
    type V = __m512;
    const LANES: usize = 16;
    const TILE_ROWS: usize = 12;
    const TILES: bool = AMX;

    forward! {
        splat(x: f32) -> __m512 = _mm512_set1_ps(x);
        load(from: *const f32) -> __m512 = _mm512_loadu_ps(from);
        store(to: *mut f32, v: __m512) -> () = _mm512_storeu_ps(to, v);
        gather(from: *const f32, stride: usize) -> __m512 = {
            let lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
            let steps = _mm512_mullo_epi32(lanes, _mm512_set1_epi32(stride as i32));
            _mm512_i32gather_ps::<4>(steps, from)
        };
        add(a: __m512, b: __m512) -> __m512 = _mm512_add_ps(a, b);
        sub(a: __m512, b: __m512) -> __m512 = _mm512_sub_ps(a, b);
        mul(a: __m512, b: __m512) -> __m512 = _mm512_mul_ps(a, b);
        fma(a: __m512, b: __m512, c: __m512) -> __m512 = _mm512_fmadd_ps(a, b, c);
        max(a: __m512, b: __m512) -> __m512 = _mm512_max_ps(a, b);
        min(a: __m512, b: __m512) -> __m512 = _mm512_min_ps(a, b);
        recip(a: __m512) -> __m512 = {
            // one Newton step on the 14-bit estimate: r (2 - a r)
            let estimate = _mm512_rcp14_ps(a);
            let error = _mm512_fnmadd_ps(a, estimate, _mm512_set1_ps(1.0));
            _mm512_fmadd_ps(estimate, error, estimate)
        };
        round(a: __m512) -> __m512 = _mm512_roundscale_ps::<{ _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC }>(a);
        exp2_int(n: __m512) -> __m512 = _mm512_scalef_ps(_mm512_set1_ps(1.0), n);
        where_positive(a: __m512, b: __m512) -> __m512 =
            _mm512_maskz_mov_ps(_mm512_cmp_ps_mask::<_CMP_GT_OQ>(a, _mm512_setzero_ps()), b);
        sum(a: __m512) -> f32 = {
            let half = _mm256_add_ps(_mm512_castps512_ps256(a), _mm512_extractf32x8_ps::<1>(a));
            Avx2.sum(half)
        };
        dot_bf16(a: __m512, b: __m512, acc: __m512) -> __m512 = {
            if BF16 {
                dot_native(a, b, acc)
            } else {
                let high = _mm512_castsi512_ps(_mm512_set1_epi32(0xffff_0000_u32 as i32));
                let low = |v| _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_castps_si512(v)));
                let acc = _mm512_fmadd_ps(low(a), low(b), acc);
                _mm512_fmadd_ps(_mm512_and_ps(a, high), _mm512_and_ps(b, high), acc)
            }
        };
        store_bf16(to: *mut u16, v: __m512) -> () = {
            let bits = _mm512_castps_si512(v);
            let odd = _mm512_and_si512(_mm512_srli_epi32::<16>(bits), _mm512_set1_epi32(1));
            let rounded = _mm512_add_epi32(bits, _mm512_add_epi32(odd, _mm512_set1_epi32(0x7fff)));
            _mm256_storeu_si256(to.cast(), _mm512_cvtepi32_epi16(_mm512_srli_epi32::<16>(rounded)))
        };
    }
}

/// # Safety
/// The processor has AVX-512 BF16.
#[inline(always)]
unsafe fn dot_native(a: __m512, b: __m512, acc: __m512) -> __m512 {
    // SAFETY: only reached with `BF16 = true`; `__m512` and `__m512bh` are the same 512 bits.
    unsafe {
        _mm512_dpbf16_ps(
            acc,
            std::mem::transmute::<__m512, __m512bh>(a),
            std::mem::transmute::<__m512, __m512bh>(b),
        )
    }
}
