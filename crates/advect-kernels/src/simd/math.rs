//! Elementary functions and activations on vectors.

use super::Simd;
use crate::mlp::Activation;

/// `e^r - 1` on `|r| <= ln2 / 2` by its Taylor polynomial of degree 7 (relative error below 1e-8).
#[inline(always)]
unsafe fn expm1_reduced<S: Simd>(s: S, r: S::V) -> S::V {
    const C: [f32; 6] = [1.0 / 720.0, 1.0 / 120.0, 1.0 / 24.0, 1.0 / 6.0, 0.5, 1.0];
    // SAFETY: pure vector arithmetic of the dispatched instruction set.
    unsafe {
        let mut p = s.splat(1.0 / 5040.0);
        for c in C {
            p = s.fma(p, r, s.splat(c));
        }
        s.mul(p, r)
    }
}

/// `(2^n, e^r - 1)` with `x = n ln2 + r`, `x` clamped to `[-87, 88]`.
#[inline(always)]
unsafe fn split_exp<S: Simd>(s: S, x: S::V) -> (S::V, S::V) {
    // SAFETY: pure vector arithmetic of the dispatched instruction set.
    unsafe {
        let x = s.min(s.max(x, s.splat(-87.0)), s.splat(88.0));
        let n = s.round(s.mul(x, s.splat(std::f32::consts::LOG2_E)));
        // ln2 in two parts, the first with trailing zero bits so that n * LN2_HIGH is exact
        let r = s.fma(n, s.splat(-0.693_359_4), x);
        let r = s.fma(n, s.splat(2.121_944_4e-4), r);
        (s.exp2_int(n), expm1_reduced(s, r))
    }
}

/// `e^x`, `x` clamped to `[-87, 88]`.
#[inline(always)]
pub(crate) unsafe fn exp<S: Simd>(s: S, x: S::V) -> S::V {
    // SAFETY: pure vector arithmetic of the dispatched instruction set.
    unsafe {
        let (scale, p) = split_exp(s, x);
        s.fma(scale, p, scale)
    }
}

/// `tanh x = m / (m + 2)` with `m = e^{2x} - 1`, accurate near zero.
#[inline(always)]
pub(crate) unsafe fn tanh<S: Simd>(s: S, x: S::V) -> S::V {
    // SAFETY: pure vector arithmetic of the dispatched instruction set.
    unsafe {
        let x = s.min(s.max(x, s.splat(-10.0)), s.splat(10.0));
        let (scale, p) = split_exp(s, s.add(x, x));
        let m = s.fma(scale, p, s.sub(scale, s.splat(1.0)));
        s.mul(m, s.recip(s.add(m, s.splat(2.0))))
    }
}

/// Standard normal density and distribution function.
#[inline(always)]
unsafe fn normal_pdf_cdf<S: Simd>(s: S, x: S::V) -> (S::V, S::V) {
    // erfc(z) = t exp(-z^2 + poly(t)), t = 1 / (1 + z/2): Chebyshev fit of Press et al., relative error 1.2e-7
    #[allow(clippy::excessive_precision)] // the constants as they were published
    const C: [f32; 9] = [
        -0.822_152_23,
        1.488_515_87,
        -1.135_203_98,
        0.278_868_07,
        -0.186_288_06,
        0.096_784_18,
        0.374_091_96,
        1.000_023_68,
        -1.265_512_23,
    ];
    // SAFETY: pure vector arithmetic of the dispatched instruction set.
    unsafe {
        let (zero, one) = (s.splat(0.0), s.splat(1.0));
        let magnitude = s.max(x, s.sub(zero, x));
        let z = s.mul(magnitude, s.splat(std::f32::consts::FRAC_1_SQRT_2));
        let square = s.mul(z, z);
        let t = s.recip(s.fma(z, s.splat(0.5), one));
        let mut poly = s.splat(0.170_872_77);
        for c in C {
            poly = s.fma(poly, t, s.splat(c));
        }
        let tail = s.mul(s.mul(s.splat(0.5), t), exp(s, s.sub(poly, square)));
        // tail = Phi(-|x|); reflect where x > 0
        let upper = s.where_positive(x, s.sub(one, s.add(tail, tail)));
        let density = s.mul(s.splat(0.398_942_3), exp(s, s.sub(zero, square)));
        (density, s.add(tail, upper))
    }
}

/// `(a(x), a'(x))`.
#[inline(always)]
pub(crate) unsafe fn activate<S: Simd>(s: S, activation: Activation, x: S::V) -> (S::V, S::V) {
    // SAFETY: pure vector arithmetic of the dispatched instruction set.
    unsafe {
        let one = s.splat(1.0);
        match activation {
            Activation::Relu => (s.max(x, s.splat(0.0)), s.where_positive(x, one)),
            Activation::Tanh => {
                let y = tanh(s, x);
                (y, s.sub(one, s.mul(y, y)))
            }
            Activation::Silu => {
                let gate = sigmoid(s, x);
                let y = s.mul(x, gate);
                (y, s.fma(y, s.sub(one, gate), gate))
            }
            Activation::Gelu => {
                let (density, cdf) = normal_pdf_cdf(s, x);
                (s.mul(x, cdf), s.fma(x, density, cdf))
            }
            Activation::Mish => {
                let m = mish_parts(s, x);
                (s.mul(x, m.gate), s.fma(x, m.gate_dot, m.gate))
            }
        }
    }
}

/// `a(x)` alone.
#[inline(always)]
pub(crate) unsafe fn activate_value<S: Simd>(s: S, activation: Activation, x: S::V) -> S::V {
    // SAFETY: pure vector arithmetic of the dispatched instruction set.
    unsafe { activate(s, activation, x).0 }
}

/// `a''(x)`.
#[inline(always)]
pub(crate) unsafe fn second_derivative<S: Simd>(s: S, activation: Activation, x: S::V) -> S::V {
    // SAFETY: pure vector arithmetic of the dispatched instruction set.
    unsafe {
        let (one, two) = (s.splat(1.0), s.splat(2.0));
        match activation {
            Activation::Relu => s.splat(0.0),
            Activation::Tanh => {
                let y = tanh(s, x);
                s.mul(s.mul(s.splat(-2.0), y), s.sub(one, s.mul(y, y)))
            }
            Activation::Silu => {
                let gate = sigmoid(s, x);
                let slope = s.mul(gate, s.sub(one, gate));
                s.mul(slope, s.fma(x, s.sub(one, s.add(gate, gate)), two))
            }
            Activation::Gelu => {
                let (density, _) = normal_pdf_cdf(s, x);
                s.mul(density, s.sub(two, s.mul(x, x)))
            }
            Activation::Mish => {
                let m = mish_parts(s, x);
                s.fma(x, m.gate_dot2, s.add(m.gate_dot, m.gate_dot))
            }
        }
    }
}

#[inline(always)]
unsafe fn sigmoid<S: Simd>(s: S, x: S::V) -> S::V {
    // SAFETY: pure vector arithmetic of the dispatched instruction set.
    unsafe {
        s.recip(s.add(
            s.splat(1.0),
            exp(s, s.sub(s.splat(0.0), s.max(x, s.splat(-85.0)))),
        ))
    }
}

/// `t = tanh(softplus(x))` and its first two derivatives.
struct Mish<V> {
    gate: V,
    gate_dot: V,
    gate_dot2: V,
}

/// With `e = e^x` and `D = e^2 + 2e + 2`: `t = (e^2 + 2e)/D`, `t' = 4e(1 + e)/D^2`,
/// `t'' = 4e ((1 + 2e) D - 4e (1 + e)^2)/D^3`. Above `x = 20` all three have converged in f32.
#[inline(always)]
unsafe fn mish_parts<S: Simd>(s: S, x: S::V) -> Mish<S::V> {
    // SAFETY: pure vector arithmetic of the dispatched instruction set.
    unsafe {
        let (one, two) = (s.splat(1.0), s.splat(2.0));
        let e = exp(s, s.min(x, s.splat(20.0)));
        let w = s.mul(e, s.add(e, two));
        let inverse = s.recip(s.add(w, two));
        let e_plus = s.add(e, one);
        let rise = s.mul(s.mul(s.splat(4.0), e), inverse);
        let slope = s.mul(e_plus, inverse);
        let bend = s.sub(
            s.fma(two, e, one),
            s.mul(s.mul(s.splat(4.0), s.mul(e, e_plus)), slope),
        );
        Mish {
            gate: s.mul(w, inverse),
            gate_dot: s.mul(rise, slope),
            gate_dot2: s.mul(rise, s.mul(inverse, bend)),
        }
    }
}
