//! The draws on the host, a vector of coordinates at a time.
#![allow(unsafe_code)] // vector instructions, see `simd`

use std::f32::consts::LN_2;

use super::What;
use crate::simd::math::{exp, tanh};
use crate::simd::{Kernel, Simd, dispatch};

/// The longest vector; columns are padded to whole ones.
const PAD: usize = 16;
const HALF_LN_TAU: f32 = 0.918_938_5;

/// Means, unbounded deviations and noise of all coordinates, row after row, each behind its own kind.
pub(super) struct Columns {
    mean: Vec<f32>,
    log_std: Vec<f32>,
    eps: Vec<f32>,
    bounds: (f32, f32),
    rows: usize,
    d: usize,
}

impl Columns {
    /// The columns of a head `[B, 2 d]` and of noise `[B, d]`.
    pub(super) fn of(head: &[f32], eps: &[f32], d: usize, bounds: (f32, f32)) -> Self {
        let room = eps.len().next_multiple_of(PAD);
        let (mut mean, mut log_std) = (Vec::with_capacity(room), Vec::with_capacity(room));
        for row in head.chunks_exact(2 * d.max(1)) {
            mean.extend_from_slice(&row[..d]);
            log_std.extend_from_slice(&row[d..]);
        }
        mean.resize(room, 0.0);
        log_std.resize(room, 0.0);
        Self {
            mean,
            log_std,
            eps: padded(eps.to_vec()),
            bounds,
            rows: eps.len() / d.max(1),
            d,
        }
    }

    /// `tanh u` of every coordinate.
    pub(super) fn actions(&self) -> Vec<f32> {
        self.each(What::Action)
    }

    /// The summand of the log-density of every coordinate.
    pub(super) fn log_probs(&self) -> Vec<f32> {
        self.each(What::LogProb)
    }

    fn each(&self, what: What) -> Vec<f32> {
        let mut out = vec![0.0; self.eps.len()];
        dispatch(Values {
            columns: self,
            what,
            out: &mut out,
        });
        out.truncate(self.len());
        out
    }

    /// The gradient in the head `[B, 2 d]`, from that of a loss in every action or log-density.
    pub(super) fn derivatives(&self, what: What, upstream: Vec<f32>) -> Vec<f32> {
        let room = self.eps.len();
        let (mut mean, mut log_std) = (vec![0.0; room], vec![0.0; room]);
        dispatch(Derivatives {
            columns: self,
            what,
            upstream: &padded(upstream),
            mean: &mut mean,
            log_std: &mut log_std,
        });
        let n = self.len();
        let rows = mean[..n].chunks_exact(self.d.max(1));
        let pairs = rows.zip(log_std[..n].chunks_exact(self.d.max(1)));
        pairs
            .flat_map(|(mean, log_std)| [mean, log_std].concat())
            .collect()
    }

    /// Coordinates without the padding.
    fn len(&self) -> usize {
        self.rows * self.d
    }
}

fn padded(mut values: Vec<f32>) -> Vec<f32> {
    values.resize(values.len().next_multiple_of(PAD), 0.0);
    values
}

/// A vector of draws.
struct Drawn<V> {
    eps: V,
    /// `log sigma` within its bounds.
    log_std: V,
    /// The derivative of that in the unbounded one.
    free: V,
    /// `sigma eps`.
    spread: V,
    /// `mu + sigma eps`.
    u: V,
}

/// The draws at `i`.
///
/// # Safety
/// The instruction set is there, and a vector fits behind `i`.
#[inline(always)]
unsafe fn draw<S: Simd>(s: S, columns: &Columns, i: usize) -> Drawn<S::V> {
    let (low, high) = columns.bounds;
    // SAFETY: the promise above.
    unsafe {
        let (low, high) = (s.splat(low), s.splat(high));
        let unbounded = s.load(columns.log_std.as_ptr().add(i));
        let (mean, eps) = (
            s.load(columns.mean.as_ptr().add(i)),
            s.load(columns.eps.as_ptr().add(i)),
        );
        let below = s.where_positive(s.sub(high, unbounded), s.splat(1.0));
        let free = s.where_positive(s.sub(unbounded, low), below);
        let log_std = s.min(s.max(unbounded, low), high);
        let spread = s.mul(exp(s, log_std), eps);
        Drawn {
            eps,
            log_std,
            free,
            spread,
            u: s.add(mean, spread),
        }
    }
}

/// `tanh u`, not a number where `u` is none.
#[inline(always)]
unsafe fn action<S: Simd>(s: S, u: S::V) -> S::V {
    // SAFETY: pure vector arithmetic of the dispatched instruction set.
    unsafe { s.fma(u, s.splat(0.0), tanh(s, u)) }
}

/// `log(1 + e)` for `e` in `[0, 1]`: `2 atanh(e / (2 + e))`, whose series has lost 1e-8 behind its seventh term.
#[inline(always)]
unsafe fn ln_1p_unit<S: Simd>(s: S, e: S::V) -> S::V {
    const C: [f32; 6] = [1.0 / 11.0, 1.0 / 9.0, 1.0 / 7.0, 1.0 / 5.0, 1.0 / 3.0, 1.0];
    // SAFETY: pure vector arithmetic of the dispatched instruction set.
    unsafe {
        let ratio = s.mul(e, s.recip(s.add(e, s.splat(2.0))));
        let square = s.mul(ratio, ratio);
        let mut sum = s.splat(1.0 / 13.0);
        for c in C {
            sum = s.fma(sum, square, s.splat(c));
        }
        s.mul(s.add(ratio, ratio), sum)
    }
}

/// `-eps^2/2 - log sigma - log(2 pi)/2 - 2 (log 2 - u - softplus(-2 u))`.
#[inline(always)]
unsafe fn log_prob<S: Simd>(s: S, drawn: &Drawn<S::V>) -> S::V {
    // SAFETY: pure vector arithmetic of the dispatched instruction set.
    unsafe {
        let u = drawn.u;
        let (zero, minus) = (s.splat(0.0), s.sub(s.splat(0.0), u));
        let size = s.max(u, minus);
        let small = ln_1p_unit(s, exp(s, s.mul(size, s.splat(-2.0))));
        let softplus = s.add(s.max(s.add(minus, minus), zero), small);
        let slope = s.sub(s.sub(s.splat(LN_2), u), softplus);
        let half = s.mul(s.splat(-0.5), drawn.eps);
        let density = s.fma(half, drawn.eps, s.sub(s.splat(-HALF_LN_TAU), drawn.log_std));
        s.fma(slope, s.splat(-2.0), density)
    }
}

struct Values<'a> {
    columns: &'a Columns,
    what: What,
    out: &'a mut [f32],
}

impl Kernel for Values<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for i in (0..self.out.len()).step_by(S::LANES) {
            // SAFETY: all columns are as long as `out`, a multiple of the longest vector.
            unsafe {
                let drawn = draw(s, self.columns, i);
                let value = match self.what {
                    What::Action => action(s, drawn.u),
                    What::LogProb => log_prob(s, &drawn),
                };
                s.store(self.out.as_mut_ptr().add(i), value);
            }
        }
    }
}

struct Derivatives<'a> {
    columns: &'a Columns,
    what: What,
    upstream: &'a [f32],
    mean: &'a mut [f32],
    log_std: &'a mut [f32],
}

impl Kernel for Derivatives<'_> {
    type Out = ();

    #[inline(always)]
    fn run<S: Simd>(self, s: S) {
        for i in (0..self.mean.len()).step_by(S::LANES) {
            // SAFETY: as in `Values`.
            unsafe {
                let drawn = draw(s, self.columns, i);
                let given = s.load(self.upstream.as_ptr().add(i));
                let (a, spread) = (action(s, drawn.u), s.mul(drawn.spread, drawn.free));
                let (mean, log_std) = match self.what {
                    What::Action => {
                        let mean = s.mul(given, s.sub(s.splat(1.0), s.mul(a, a)));
                        (mean, s.mul(mean, spread))
                    }
                    // d/du of -log(1 - tanh(u)^2) is 2 tanh u
                    What::LogProb => {
                        let mean = s.mul(given, s.add(a, a));
                        (mean, s.sub(s.mul(mean, spread), s.mul(given, drawn.free)))
                    }
                };
                s.store(self.mean.as_mut_ptr().add(i), mean);
                s.store(self.log_std.as_mut_ptr().add(i), log_std);
            }
        }
    }
}
