//! Bulk draws: blocks of words in lanes, so that the loops become vector instructions.

use crate::dispatch;
use crate::elementary::{ln_f32, sin_cos_turn};
use crate::philox::{LANES, Origin, Words, lanes};
use crate::stream::{Stream, join, open_unit_f32};
use crate::truncated::TruncatedNormal;

/// Words of one group of lanes.
const GROUP: usize = 4 * LANES;

impl Stream {
    /// Uniform on the open interval (0, 1). Value `i` is word `i % 4` of block `i / 4`.
    pub fn fill_uniform(&mut self, out: &mut [f32]) {
        let origin = self.take(blocks_for(out.len(), 4));
        dispatch::uniform(origin, 0.0, 1.0, out);
    }

    /// Uniform on [low, high]: `low + (high - low) u` with the `u` of [`Stream::fill_uniform`], rounded once per operation.
    pub fn fill_uniform_range(&mut self, low: f32, high: f32, out: &mut [f32]) {
        let origin = self.take(blocks_for(out.len(), 4));
        dispatch::uniform(origin, low, high - low, out);
    }

    /// Standard normal, Box-Muller: block `b` gives values `4b..4b+4`, words 0 and 2 the radii, words 1 and 3 the angles.
    ///
    /// Largest magnitude 6.77. The order of operations is fixed and none is fused: the same bits on every processor.
    pub fn fill_normal(&mut self, out: &mut [f32]) {
        let origin = self.take(blocks_for(out.len(), 4));
        dispatch::normal(origin, out);
    }

    /// -1 or +1 with equal probability. Value `i` is bit `i % 32` of word `(i / 32) % 4` of block `i / 128`.
    pub fn fill_rademacher(&mut self, out: &mut [f32]) {
        let origin = self.take(blocks_for(out.len(), 128));
        dispatch::rademacher(origin, out);
    }

    /// Indices on `0..n` with replacement; zeros when `n` is 0. Bias below `n / 2^64` per index.
    ///
    /// Value `i` is the high half of `n` times the 64-bit number in words `2 (i % 2)` and the next of block `i / 2`.
    pub fn fill_indices(&mut self, n: u32, out: &mut [u32]) {
        let origin = self.take(blocks_for(out.len(), 2));
        dispatch::indices(origin, n, out);
    }

    /// A uniform permutation of `0..n` (Fisher-Yates, bias below `n^2 / 2^64`).
    pub fn permutation(&mut self, n: usize) -> Vec<u32> {
        let mut order: Vec<u32> = (0..n as u32).collect();
        let mut bits = vec![0; n.saturating_sub(1)];
        let origin = self.take(blocks_for(bits.len(), 2));
        dispatch::bits(origin, &mut bits);
        for (i, &b) in (1..n).rev().zip(&bits) {
            order.swap(i, below_fixed(b, i as u64 + 1) as usize);
        }
        order
    }

    /// Standard normal truncated to [low, high], by the inverse distribution function in double precision.
    ///
    /// Value `i` has the level `(w + 1/2) / 2^32` with `w` word `i % 4` of block `i / 4`. Bounds that make no interval
    /// (`low > high` or NaN, see [`TruncatedNormal::new`]) fill `out` with NaN.
    pub fn fill_truncated_standard_normal(&mut self, low: f32, high: f32, out: &mut [f32]) {
        let origin = self.take(blocks_for(out.len(), 4));
        let Ok(law) = TruncatedNormal::new(f64::from(low), f64::from(high)) else {
            return out.fill(f32::NAN);
        };
        for_groups(origin, out, 4, |words, group| {
            for (i, value) in group.iter_mut().enumerate() {
                let word = words[i % 4][i / 4];
                let level = (f64::from(word) + 0.5) * (1.0 / 4_294_967_296.0);
                *value = law.quantile(level) as f32;
            }
        });
    }
}

fn blocks_for(values: usize, per_block: usize) -> u64 {
    values.div_ceil(per_block) as u64
}

/// Calls `body` with the words of each group of lanes and the piece of `out` that they make.
#[inline(always)]
fn for_groups<T>(
    mut origin: Origin,
    out: &mut [T],
    per_block: usize,
    mut body: impl FnMut(&Words, &mut [T]),
) {
    for piece in out.chunks_mut(per_block * LANES) {
        body(&lanes(origin), piece);
        origin.counter = origin.counter.wrapping_add(LANES as u64);
    }
}

/// Writes one f32 per word through `map`, which sees a whole group at once; `out` may end inside a group.
#[inline(always)]
fn fill_groups(origin: Origin, out: &mut [f32], map: impl Fn(&Words) -> [[f32; LANES]; 4]) {
    for_groups(origin, out, 4, |words, piece| {
        let values = map(words);
        match <&mut [f32; GROUP]>::try_from(&mut *piece) {
            Ok(group) => interleave(&values, group),
            Err(_) => {
                let mut group = [0.0; GROUP];
                interleave(&values, &mut group);
                piece.copy_from_slice(&group[..piece.len()]);
            }
        }
    });
}

#[inline(always)]
fn interleave(values: &[[f32; LANES]; 4], group: &mut [f32; GROUP]) {
    for lane in 0..LANES {
        for (word, row) in values.iter().enumerate() {
            group[4 * lane + word] = row[lane];
        }
    }
}

#[inline(always)]
pub(crate) fn uniform(origin: Origin, low: f32, width: f32, out: &mut [f32]) {
    fill_groups(origin, out, |words| {
        words.map(|row| row.map(|w| low + width * open_unit_f32(w)))
    });
}

#[inline(always)]
pub(crate) fn normal(origin: Origin, out: &mut [f32]) {
    fill_groups(origin, out, |words| {
        let mut values = [[0.0; LANES]; 4];
        for pair in [0, 2] {
            for lane in 0..LANES {
                let (x, y) = box_muller(words[pair][lane], words[pair + 1][lane]);
                values[pair][lane] = x;
                values[pair + 1][lane] = y;
            }
        }
        values
    });
}

/// Two independent normals: `r cos`, `r sin` with `r = sqrt(-2 ln u)`, u in [2^-33, 1].
///
/// Source: Box and Muller, "A note on the generation of random normal deviates", 1958.
#[inline(always)]
fn box_muller(radius_word: u32, angle_word: u32) -> (f32, f32) {
    let u = (radius_word as f32 + 0.5) * (1.0 / 4_294_967_296.0);
    let radius = (2.0 * ln_f32(u).abs()).sqrt();
    let (sine, cosine) = sin_cos_turn(angle_word);
    (radius * cosine, radius * sine)
}

#[inline(always)]
pub(crate) fn rademacher(origin: Origin, out: &mut [f32]) {
    for_groups(origin, out, 128, |words, piece| {
        for (w, signs) in piece.chunks_mut(32).enumerate() {
            let word = words[w % 4][w / 4];
            for (bit, sign) in signs.iter_mut().enumerate() {
                let flip = (word >> bit & 1) << 31;
                *sign = f32::from_bits(1f32.to_bits() | flip);
            }
        }
    });
}

#[inline(always)]
pub(crate) fn bits(origin: Origin, out: &mut [u64]) {
    for_groups(origin, out, 2, |words, piece| {
        for (i, value) in piece.iter_mut().enumerate() {
            let (block, half) = (i / 2, 2 * (i % 2));
            *value = join(words[half][block], words[half + 1][block]);
        }
    });
}

#[inline(always)]
pub(crate) fn indices(origin: Origin, n: u32, out: &mut [u32]) {
    for_groups(origin, out, 2, |words, piece| {
        for (i, value) in piece.iter_mut().enumerate() {
            let (block, half) = (i / 2, 2 * (i % 2));
            let random = join(words[half][block], words[half + 1][block]);
            *value = below_fixed(random, u64::from(n)) as u32;
        }
    });
}

/// `floor(n * random / 2^64)`.
#[inline(always)]
fn below_fixed(random: u64, n: u64) -> u64 {
    ((u128::from(random) * u128::from(n)) >> 64) as u64
}
