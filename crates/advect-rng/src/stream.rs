//! Named streams and single draws.

use crate::philox::{Origin, counter_words, philox4x32_10};
use crate::special::normal_quantile;

/// Everything that a [`Stream`] is: four integers to put into a checkpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct StreamState {
    /// Philox key, hashed from the seed and the name.
    pub key: [u32; 2],
    /// High half of the 128-bit counter: 0 for a named stream, a hash of the path for a fork.
    pub stream: u64,
    /// Low half of the counter: the next block of four words.
    pub counter: u64,
}

/// A random stream: (seed, name) fixes the numbers, the position in it is one integer.
///
/// Every call, single draw or fill, starts at a fresh Philox block of four words and consumes whole blocks. So
/// `n` single draws take `n` blocks, and one fill of `n` values is not the same numbers as two fills of `n/2`.
///
/// ```
/// use advect_rng::Stream;
/// let mut noise = Stream::new(7, "noise");
/// let saved = noise.state();
/// let first = noise.normal_f32();
/// assert_eq!(Stream::from_state(saved).normal_f32(), first);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stream {
    state: StreamState,
}

impl Stream {
    /// The stream called `name` under `seed`, at its start.
    pub fn new(seed: u64, name: &str) -> Self {
        let hash = hash_name(seed, name);
        let key = [hash as u32, (hash >> 32) as u32];
        Self {
            state: StreamState {
                key,
                stream: 0,
                counter: 0,
            },
        }
    }

    /// An independent child stream at its start; it depends on this stream's identity and `name`, not on its position.
    pub fn fork(&self, name: &str) -> Self {
        let key = self.state.key;
        let salt = u64::from(key[0]) | u64::from(key[1]) << 32;
        let stream = hash_name(mix(self.state.stream ^ mix(salt)), name).max(1);
        Self {
            state: StreamState {
                key,
                stream,
                counter: 0,
            },
        }
    }

    /// The state to save.
    pub fn state(&self) -> StreamState {
        self.state
    }

    /// The stream that continues a saved state bit for bit.
    pub fn from_state(state: StreamState) -> Self {
        Self { state }
    }

    /// Moves the position past `blocks` blocks of four words, as draws elsewhere of the values that lie there.
    ///
    /// ```
    /// use advect_rng::Stream;
    /// let (mut drawn, mut skipped) = (Stream::new(7, "noise"), Stream::new(7, "noise"));
    /// drawn.fill_normal(&mut [0.0; 10]); // four values of a block
    /// skipped.skip(3);
    /// assert_eq!(drawn.next_u32(), skipped.next_u32());
    /// ```
    pub fn skip(&mut self, blocks: u64) {
        self.take(blocks);
    }

    /// Where the next block lies; moves the position past `blocks` blocks.
    pub(crate) fn take(&mut self, blocks: u64) -> Origin {
        let StreamState {
            key,
            stream,
            counter,
        } = self.state;
        self.state.counter = counter.wrapping_add(blocks);
        Origin {
            key,
            stream,
            counter,
        }
    }

    fn next_block(&mut self) -> [u32; 4] {
        let origin = self.take(1);
        philox4x32_10(counter_words(origin.stream, origin.counter), origin.key)
    }

    /// 32 random bits.
    pub fn next_u32(&mut self) -> u32 {
        self.next_block()[0]
    }

    /// 64 random bits.
    pub fn next_u64(&mut self) -> u64 {
        let [low, high, ..] = self.next_block();
        join(low, high)
    }

    /// Uniform on the open interval (0, 1), a multiple of 2^-24.
    pub fn uniform_f32(&mut self) -> f32 {
        open_unit_f32(self.next_u32())
    }

    /// Uniform on the open interval (0, 1), a multiple of 2^-53.
    pub fn uniform_f64(&mut self) -> f64 {
        open_unit_f64(self.next_u64())
    }

    /// Standard normal; equal to the first value of a fill.
    pub fn normal_f32(&mut self) -> f32 {
        let mut value = [0.0];
        self.fill_normal(&mut value);
        value[0]
    }

    /// Standard normal in double precision, by the inverse of the distribution function.
    pub fn normal_f64(&mut self) -> f64 {
        normal_quantile(self.uniform_f64())
    }

    /// Uniform on `0..n` without bias; 0 when `n` is 0 or 1.
    ///
    /// Source: Lemire, "Fast random integer generation in an interval", 2019 (multiply and reject).
    pub fn below(&mut self, n: u64) -> u64 {
        if n < 2 {
            return 0;
        }
        let reject_below = n.wrapping_neg() % n;
        loop {
            let product = u128::from(self.next_u64()) * u128::from(n);
            if product as u64 >= reject_below {
                return (product >> 64) as u64;
            }
        }
    }
}

/// Uniform in (0, 1) from the upper 23 bits of a word, centred in its cell.
#[inline(always)]
pub(crate) fn open_unit_f32(word: u32) -> f32 {
    ((word >> 9) as f32 + 0.5) * (1.0 / 8_388_608.0)
}

/// Uniform in (0, 1) from the upper 52 bits, centred in its cell.
#[inline(always)]
pub(crate) fn open_unit_f64(bits: u64) -> f64 {
    ((bits >> 12) as f64 + 0.5) * (1.0 / 4_503_599_627_370_496.0)
}

/// A 64-bit integer from two words, low word first.
#[inline(always)]
pub(crate) fn join(low: u32, high: u32) -> u64 {
    u64::from(low) | u64::from(high) << 32
}

/// The finaliser of SplitMix64 (Steele, Lea, Flood 2014): a bijection of 64 bits.
fn mix(mut z: u64) -> u64 {
    z = z.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// 64-bit hash of a seed and a name, eight bytes at a time, the length last.
fn hash_name(seed: u64, name: &str) -> u64 {
    let absorb = |hash: u64, chunk: &[u8]| {
        let mut bytes = [0; 8];
        bytes[..chunk.len()].copy_from_slice(chunk);
        mix(hash ^ u64::from_le_bytes(bytes))
    };
    let hash = name.as_bytes().chunks(8).fold(mix(seed), absorb);
    mix(hash ^ name.len() as u64)
}
