//! Elementary functions with a fixed order of IEEE additions, multiplications, divisions and square roots.
//!
//! Nothing here calls the platform's mathematical library and nothing is contracted into a fused multiply-add, so the bits are
//! the same on every processor. The polynomials are near-minimax fits made for this crate.
#![allow(clippy::excessive_precision)] // coefficients are written with the digits of the fit

/// Evaluates `c[0] + c[1] x + c[2] x^2 + ...` by Horner's rule.
macro_rules! horner {
    ($x:expr, [$last:expr $(,)?]) => { $last };
    ($x:expr, [$first:expr, $($rest:expr),+ $(,)?]) => { $first + $x * horner!($x, [$($rest),+]) };
}
pub(crate) use horner;

/// `ln(u)` for a normal positive f32, relative error about 1e-7.
#[inline(always)]
pub(crate) fn ln_f32(u: f32) -> f32 {
    const SQRT_HALF_BITS: u32 = 0x3f35_04f3;
    let exponent = u.to_bits().wrapping_sub(SQRT_HALF_BITS) as i32 >> 23;
    let f = f32::from_bits(u.to_bits().wrapping_sub((exponent << 23) as u32)) - 1.0;
    let tail = horner!(
        f,
        [
            0.333_333_312,
            -0.249_999_97,
            0.200_007_157,
            -0.166_678_023,
            0.142_490_576,
            -0.124_256_873,
            0.116_854_199,
            -0.114_797_338,
            0.069_716_114_7,
        ]
    );
    let square = f * f;
    let fraction = f + (square * f * tail - 0.5 * square);
    exponent as f32 * std::f32::consts::LN_2 + fraction
}

/// `(sin, cos)` of `2 pi w / 2^32`, absolute error about 1e-7.
#[inline(always)]
pub(crate) fn sin_cos_turn(w: u32) -> (f32, f32) {
    const TURN: f32 = std::f32::consts::TAU / 4_294_967_296.0;
    let quadrant = w.wrapping_add(1 << 29) >> 30;
    let angle = w.wrapping_sub(quadrant << 30) as i32 as f32 * TURN;
    let square = angle * angle;
    let s = horner!(
        square,
        [-0.166_666_647, 0.008_332_748_27, -0.000_195_878_909]
    );
    let c = horner!(square, [0.041_666_664_7, -0.001_388_830_3, 2.454_794_21e-5]);
    let sine = angle + angle * square * s;
    let cosine = 1.0 - 0.5 * square + square * square * c;
    rotate(quadrant, sine, cosine)
}

/// Turns `(sin, cos)` by a number of quarter turns.
#[inline(always)]
fn rotate(quadrant: u32, sine: f32, cosine: f32) -> (f32, f32) {
    let swap = quadrant & 1 == 1;
    let (s, c) = if swap { (cosine, sine) } else { (sine, cosine) };
    let sine_sign = (quadrant & 2) << 30;
    let cosine_sign = (quadrant.wrapping_add(1) & 2) << 30;
    (
        f32::from_bits(s.to_bits() ^ sine_sign),
        f32::from_bits(c.to_bits() ^ cosine_sign),
    )
}

#[allow(clippy::approx_constant)] // the upper 32 bits only: multiples up to 2^20 are exact
const LN_2_HIGH: f64 = 6.931_471_803_691_238e-1;
const LN_2_LOW: f64 = 1.908_214_929_270_587_7e-10;

/// `ln(x)` for a positive f64 (subnormals included), relative error about 2e-16; `-inf` at zero.
#[inline]
pub(crate) fn ln(x: f64) -> f64 {
    const SQRT_HALF_BITS: i64 = 0x3fe6_a09e_667f_3bcd;
    if !(x > 0.0 && x < f64::INFINITY) {
        return match x {
            0.0 => f64::NEG_INFINITY,
            f64::INFINITY => x,
            _ => f64::NAN,
        };
    }
    let (scaled, shift) = if x < f64::MIN_POSITIVE {
        (x * 2f64.powi(54), 54)
    } else {
        (x, 0)
    };
    let bits = scaled.to_bits() as i64;
    let exponent = (bits - SQRT_HALF_BITS) >> 52;
    let f = f64::from_bits((bits - (exponent << 52)) as u64) - 1.0;
    let k = (exponent - shift) as f64;
    k * LN_2_HIGH + (k * LN_2_LOW + ln_1p_small(f))
}

/// `ln(1 + f)` for `-0.3 < f < 0.42`.
#[inline]
pub(crate) fn ln_1p_small(f: f64) -> f64 {
    let s = f / (2.0 + f);
    let w = s * s;
    let tail = horner!(
        w,
        [
            0.666_666_666_666_666_665,
            0.400_000_000_000_008_77,
            0.285_714_285_708_036_118,
            0.222_222_223_917_139_174,
            0.181_817_956_401_329_063,
            0.153_862_397_028_146_582,
            0.132_687_731_386_568_852,
            0.130_866_261_478_401_021,
        ]
    );
    let half_square = 0.5 * f * f;
    f - (half_square - s * (half_square + w * tail))
}

/// `ln(1 + x)` for x > -1.
#[inline]
pub(crate) fn ln_1p(x: f64) -> f64 {
    if x > -0.29 && x < 0.41 {
        ln_1p_small(x)
    } else {
        ln(1.0 + x)
    }
}

/// `exp(x) - 1` without cancellation.
#[inline]
pub(crate) fn exp_m1(x: f64) -> f64 {
    if x.abs() < 0.34 {
        exp_m1_small(x)
    } else {
        exp(x) - 1.0
    }
}

/// `exp(x)`, relative error about 2e-16; gradual underflow below -708, infinity above 709.78.
#[inline]
pub(crate) fn exp(x: f64) -> f64 {
    if x.is_nan() || x < -746.0 {
        return if x.is_nan() { x } else { 0.0 };
    }
    if x > 709.782_712_893_384 {
        return f64::INFINITY;
    }
    let k = (x * std::f64::consts::LOG2_E).round_ties_even();
    let r = (x - k * LN_2_HIGH) - k * LN_2_LOW;
    scale(1.0 + exp_m1_small(r), k as i32)
}

/// `exp(r) - 1` for `|r| < ln(2) / 2`.
#[inline]
fn exp_m1_small(r: f64) -> f64 {
    let tail = horner!(
        r,
        [
            0.5,
            0.166_666_666_666_666_71,
            0.041_666_666_666_666_669_8,
            0.008_333_333_333_326_140_88,
            0.001_388_888_888_888_375_24,
            0.000_198_412_698_748_004_92,
            2.480_158_732_553_336_38e-5,
            2.755_725_542_574_643_43e-6,
            2.755_727_366_134_863_62e-7,
            2.510_520_637_395_701_11e-8,
            2.091_467_937_658_393_51e-9,
        ]
    );
    r + r * r * tail
}

/// `x * 2^k` in two exact factors, so that subnormal results round once.
#[inline]
fn scale(x: f64, k: i32) -> f64 {
    let power = |k: i32| f64::from_bits(((1023 + k) as u64) << 52);
    let first = k / 2;
    x * power(first) * power(k - first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ln_and_exp_agree_with_the_platform() {
        for i in -6000..6000 {
            let x = f64::from(i) * 0.117;
            let reference = x.exp();
            assert!((exp(x) - reference).abs() <= 4e-16 * reference, "exp({x})");
            let y = (f64::from(i) * 0.113).exp();
            let reference = y.ln();
            assert!(
                (ln(y) - reference).abs() <= 3e-16 * reference.abs(),
                "ln({y})"
            );
        }
        for x in [
            1.0,
            1.0 + 1e-9,
            1.0 - 1e-9,
            0.99,
            1.3,
            0.72,
            f64::MIN_POSITIVE / 8.0,
        ] {
            assert!((ln(x) - x.ln()).abs() <= 3e-16 * x.ln().abs(), "ln({x})");
        }
        assert_eq!(ln(0.0), f64::NEG_INFINITY);
        assert_eq!(ln(f64::INFINITY), f64::INFINITY);
        assert!(ln(-1.0).is_nan());
        assert_eq!((exp(-800.0), exp(800.0)), (0.0, f64::INFINITY));
        assert!(exp(f64::NAN).is_nan());
        assert!((exp(-740.0) - (-740.0f64).exp()).abs() < 1e-323);
    }

    #[test]
    fn single_precision_functions_agree_with_the_platform() {
        for i in 1..200_000u32 {
            let u = i as f32 / 200_000.0;
            let reference = f64::from(u).ln();
            assert!(
                (f64::from(ln_f32(u)) - reference).abs() <= 2e-7 * reference.abs(),
                "ln({u})"
            );
            let w = i.wrapping_mul(21_473);
            let (s, c) = sin_cos_turn(w);
            let angle = f64::from(w) * std::f64::consts::TAU / 4_294_967_296.0;
            assert!(
                (f64::from(s) - angle.sin()).abs() < 1.5e-7,
                "sin of word {w}"
            );
            assert!(
                (f64::from(c) - angle.cos()).abs() < 1.5e-7,
                "cos of word {w}"
            );
        }
    }
}
