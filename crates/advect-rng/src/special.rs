//! The normal distribution in double precision: distribution function, its logarithm and its inverse, accurate in both tails.
#![allow(clippy::excessive_precision)] // coefficients are written with the digits of their source

use crate::elementary::{exp, exp_m1, horner, ln, ln_1p};
use crate::truncated::TruncatedNormal;

pub(crate) const HALF_LN_TAU: f64 = 0.918_938_533_204_672_8;

/// Distribution function of the standard normal, relative error below 1e-15 down to the smallest subnormal.
///
/// ```
/// let p = advect_rng::special::normal_cdf(-1.959_963_984_540_054);
/// assert!((p - 0.025).abs() < 1e-15);
/// ```
pub fn normal_cdf(x: f64) -> f64 {
    if x > 0.0 {
        1.0 - upper_tail(x)
    } else {
        upper_tail(-x)
    }
}

/// Natural logarithm of [`normal_cdf`], relative error about 1e-15 for every finite `x`.
pub fn log_normal_cdf(x: f64) -> f64 {
    if x > 0.0 {
        ln_1p(-upper_tail(x))
    } else {
        log_upper_tail(-x)
    }
}

/// `P(X > y)` for `y >= 0`; the square is split so that the exponential keeps its relative accuracy.
fn upper_tail(y: f64) -> f64 {
    if y > 40.0 {
        return 0.0;
    }
    let head = (y * 16.0).trunc() / 16.0;
    let rest = 0.5 * (y - head) * (y + head);
    exp(-0.5 * head * head) * exp(ln_mills(y) - HALF_LN_TAU - rest)
}

fn log_upper_tail(y: f64) -> f64 {
    ln_mills(y) - HALF_LN_TAU - 0.5 * y * y
}

/// Logarithm of the Mills ratio `P(X > y) / pdf(y)` for `y >= 0`, absolute error about 1e-16.
///
/// A Chebyshev series of `ln(R(y) / t)` in `t = 3.5 / (3.5 + y)`, which is smooth on the whole half line.
fn ln_mills(y: f64) -> f64 {
    const SERIES: [f64; 25] = [
        -0.568_994_745_150_305_1,
        0.744_425_425_123_676_7,
        0.057_647_216_784_776_78,
        -0.005_143_027_391_297_979,
        -0.002_233_023_790_506_967_7,
        -0.000_011_850_082_785_791_418,
        0.000_099_411_676_535_043_87,
        7.190_192_630_405_285e-6,
        -4.917_099_295_874_3e-6,
        -6.177_593_392_772_016e-7,
        2.639_476_461_797_240_7e-7,
        4.306_384_508_742_912e-8,
        -1.515_559_082_999_029_3e-8,
        -2.727_715_148_750_957_7e-9,
        9.146_649_327_895_914e-10,
        1.590_226_080_455_654_5e-10,
        -5.650_078_789_188_257e-11,
        -8.350_707_564_645_366e-12,
        3.444_371_808_649_843_5e-12,
        3.742_407_758_134_390_2e-13,
        -1.976_677_900_770_187_7e-13,
        -1.271_025_490_409_816_5e-14,
        9.984_352_885_015_14e-15,
        2.405_192_574_096_214e-16,
        -3.897_770_511_245_106e-16,
    ];
    let t = 3.5 / (3.5 + y);
    let x = 2.0 * (2.0 * t - 1.0);
    let (mut b1, mut b2) = (0.0, 0.0);
    for &c in SERIES[1..].iter().rev() {
        (b1, b2) = (c + x * b1 - b2, b1);
    }
    ln(t) + (SERIES[0] + 0.5 * x * b1 - b2)
}

/// Inverse of [`normal_cdf`], relative error about 1e-16; NaN outside [0, 1].
///
/// Source: Wichura, "Algorithm AS 241: the percentage points of the normal distribution", 1988 (PPND16).
///
/// ```
/// assert_eq!(advect_rng::special::normal_quantile(0.5), 0.0);
/// ```
pub fn normal_quantile(p: f64) -> f64 {
    quantile_of_pair(p, 1.0 - p)
}

/// Inverse of [`log_normal_cdf`]: the `x` with `ln P(X < x) = log_p`, for any `log_p <= 0`; NaN above 0.
pub fn normal_quantile_from_log(log_p: f64) -> f64 {
    if log_p > 0.0 {
        return f64::NAN;
    }
    if log_p < -2.6 {
        return -tail_quantile(-log_p);
    }
    let p = exp(log_p);
    quantile_of_pair(p, -exp_m1(log_p))
}

/// The level-`u` quantile of a standard normal truncated to [lo, hi]: see [`TruncatedNormal`]; NaN for bounds it rejects.
///
/// ```
/// let x = advect_rng::special::truncated_normal_quantile(-500.0, -499.998, 0.5);
/// assert!(x > -500.0 && x < -499.998);
/// ```
pub fn truncated_normal_quantile(lo: f64, hi: f64, u: f64) -> f64 {
    TruncatedNormal::new(lo, hi).map_or(f64::NAN, |law| law.quantile(u))
}

/// Quantile from a probability and its complement, each of full relative accuracy.
#[inline]
pub(crate) fn quantile_of_pair(p: f64, complement: f64) -> f64 {
    let q = 0.5 * (p - complement);
    if q.abs() <= 0.425 {
        return central_quantile(q);
    }
    if q < 0.0 {
        -tail_quantile(-ln(p))
    } else {
        tail_quantile(-ln(complement))
    }
}

/// Quantile of `0.5 + q` for `|q| <= 0.425`.
#[inline]
fn central_quantile(q: f64) -> f64 {
    let r = 0.180_625 - q * q;
    let numerator = horner!(
        r,
        [
            3.387_132_872_796_366_608,
            133.141_667_891_784_377_45,
            1_971.590_950_306_551_442_7,
            13_731.693_765_509_461_125,
            45_921.953_931_549_871_457,
            67_265.770_927_008_700_853,
            33_430.575_583_588_128_105,
            2_509.080_928_730_122_672_7,
        ]
    );
    let denominator = horner!(
        r,
        [
            1.0,
            42.313_330_701_600_911_252,
            687.187_007_492_057_908_3,
            5_394.196_021_424_751_107_7,
            21_213.794_301_586_595_867,
            39_307.895_800_092_710_61,
            28_729.085_735_721_942_674,
            5_226.495_278_852_854_561,
        ]
    );
    q * numerator / denominator
}

/// The `y > 0` with `P(X > y) = exp(-w)`, for `w >= 2.5`.
#[inline]
pub(crate) fn tail_quantile(w: f64) -> f64 {
    let r = w.sqrt();
    if r <= 5.0 {
        near_tail(r - 1.6)
    } else if r <= 27.0 {
        middle_tail(r - 5.0)
    } else {
        far_tail(w)
    }
}

#[inline]
fn near_tail(r: f64) -> f64 {
    let numerator = horner!(
        r,
        [
            1.423_437_110_749_683_577_34,
            4.630_337_846_156_545_295_9,
            5.769_497_221_460_691_405_5,
            3.647_848_324_763_204_605_04,
            1.270_458_252_452_368_382_58,
            2.417_807_251_774_506_117_7e-1,
            2.272_384_498_926_918_458_33e-2,
            7.745_450_142_783_414_076_4e-4,
        ]
    );
    let denominator = horner!(
        r,
        [
            1.0,
            2.053_191_626_637_758_821_87,
            1.676_384_830_183_803_849_4,
            6.897_673_349_851_000_045_5e-1,
            1.481_039_764_274_800_745_9e-1,
            1.519_866_656_361_645_719_66e-2,
            5.475_938_084_995_344_946e-4,
            1.050_750_071_644_416_843_24e-9,
        ]
    );
    numerator / denominator
}

fn middle_tail(r: f64) -> f64 {
    let numerator = horner!(
        r,
        [
            6.657_904_643_501_103_777_2,
            5.463_784_911_164_114_369_9,
            1.784_826_539_917_291_335_8,
            2.965_605_718_285_048_912_3e-1,
            2.653_218_952_657_612_309_3e-2,
            1.242_660_947_388_078_438_6e-3,
            2.711_555_568_743_487_578_15e-5,
            2.010_334_399_292_288_132_65e-7,
        ]
    );
    let denominator = horner!(
        r,
        [
            1.0,
            5.998_322_065_558_879_376_9e-1,
            1.369_298_809_227_358_053_1e-1,
            1.487_536_129_085_061_485_25e-2,
            7.868_691_311_456_132_591e-4,
            1.846_318_317_510_054_681_8e-5,
            1.421_511_758_316_445_888_7e-7,
            2.044_263_103_389_939_785_64e-15,
        ]
    );
    numerator / denominator
}

/// Newton's method on `y^2/2 + ln sqrt(2 pi) - ln R(y) = w` from the leading asymptotic terms, for `w > 700`.
#[cold]
fn far_tail(w: f64) -> f64 {
    if w == f64::INFINITY {
        return w;
    }
    let mut y = (2.0 * (w - HALF_LN_TAU) - ln(2.0 * w)).sqrt();
    for _ in 0..2 {
        let excess = (0.5 * y * y - w) + (HALF_LN_TAU - ln_mills(y));
        y -= excess / (y + 1.0 / y);
    }
    y
}
