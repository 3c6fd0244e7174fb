//! Philox 4x32-10: a keyed bijection of 128-bit counters.
//!
//! Source: Salmon, Moraes, Dror, Shaw, "Parallel random numbers: as easy as 1, 2, 3", SC 2011, section 3.2.

/// Blocks computed together by the bulk fills; the inner loops run over this many lanes.
pub(crate) const LANES: usize = 16;

const ROUNDS: usize = 10;
const MULTIPLIER: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
const KEY_STEP: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];

/// Four words of `LANES` consecutive blocks, word index first.
pub(crate) type Words = [[u32; LANES]; 4];

/// Where a run of blocks starts: the key, the stream half of the counter and the first position.
#[derive(Clone, Copy)]
pub(crate) struct Origin {
    pub key: [u32; 2],
    pub stream: u64,
    pub counter: u64,
}

/// One Philox 4x32-10 block: four random words from a 128-bit counter and a 64-bit key.
///
/// Known answers of the reference implementation are part of this crate's tests.
///
/// ```
/// let zeros = advect_rng::philox4x32_10([0; 4], [0; 2]);
/// assert_eq!(zeros, [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
/// ```
#[inline]
pub fn philox4x32_10(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let (mut c, mut k) = (counter, key);
    for _ in 0..ROUNDS {
        c = round(c, k);
        k = next_key(k);
    }
    c
}

#[inline(always)]
fn round(c: [u32; 4], k: [u32; 2]) -> [u32; 4] {
    let p0 = u64::from(MULTIPLIER[0]) * u64::from(c[0]);
    let p1 = u64::from(MULTIPLIER[1]) * u64::from(c[2]);
    [
        (p1 >> 32) as u32 ^ c[1] ^ k[0],
        p1 as u32,
        (p0 >> 32) as u32 ^ c[3] ^ k[1],
        p0 as u32,
    ]
}

#[inline(always)]
fn next_key(k: [u32; 2]) -> [u32; 2] {
    [
        k[0].wrapping_add(KEY_STEP[0]),
        k[1].wrapping_add(KEY_STEP[1]),
    ]
}

/// The counter words of one position: position in the low half, stream in the high half.
#[inline(always)]
pub(crate) fn counter_words(stream: u64, position: u64) -> [u32; 4] {
    [
        position as u32,
        (position >> 32) as u32,
        stream as u32,
        (stream >> 32) as u32,
    ]
}

/// `LANES` consecutive blocks, the same words as [`philox4x32_10`] gives one by one.
///
/// Words are kept in 64-bit lanes, whose lower halves one vector instruction multiplies; the upper halves are ignored.
#[inline(always)]
pub(crate) fn lanes(origin: Origin) -> Words {
    let mut c = [[0; LANES]; 4];
    #[allow(clippy::needless_range_loop)] // lane is a coordinate of a transposed write
    for lane in 0..LANES {
        let position = origin.counter.wrapping_add(lane as u64);
        c[0][lane] = position;
        c[1][lane] = position >> 32;
        c[2][lane] = origin.stream;
        c[3][lane] = origin.stream >> 32;
    }
    let mut key = origin.key;
    for _ in 0..ROUNDS {
        c = round_lanes(&c, key);
        key = next_key(key);
    }
    c.map(|row| row.map(|word| word as u32))
}

#[inline(always)]
fn round_lanes(c: &[[u64; LANES]; 4], key: [u32; 2]) -> [[u64; LANES]; 4] {
    const LOW: u64 = 0xffff_ffff;
    let mut next = [[0; LANES]; 4];
    for lane in 0..LANES {
        let p0 = (c[0][lane] & LOW) * u64::from(MULTIPLIER[0]);
        let p1 = (c[2][lane] & LOW) * u64::from(MULTIPLIER[1]);
        next[0][lane] = (p1 >> 32) ^ c[1][lane] ^ u64::from(key[0]);
        next[1][lane] = p1;
        next[2][lane] = (p0 >> 32) ^ c[3][lane] ^ u64::from(key[1]);
        next[3][lane] = p0;
    }
    next
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers_of_random123() {
        let ones = u32::MAX;
        assert_eq!(
            philox4x32_10([0; 4], [0; 2]),
            [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]
        );
        assert_eq!(
            philox4x32_10([ones; 4], [ones; 2]),
            [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]
        );
        assert_eq!(
            philox4x32_10(
                [0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344],
                [0xa409_3822, 0x299f_31d0]
            ),
            [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]
        );
    }

    #[test]
    fn lanes_equal_single_blocks_across_the_word_boundary() {
        let origin = Origin {
            key: [7, 9],
            stream: 0x0123_4567_89ab_cdef,
            counter: u64::from(u32::MAX) - 5,
        };
        let words = lanes(origin);
        #[allow(clippy::needless_range_loop)] // lane is a coordinate of a transposed read
        for lane in 0..LANES {
            let position = origin.counter + lane as u64;
            let block = philox4x32_10(counter_words(origin.stream, position), origin.key);
            assert_eq!(block, std::array::from_fn(|w| words[w][lane]));
        }
    }
}
