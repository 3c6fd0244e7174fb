//! One hash over several parameter buffers.

use advect_kernels::Params;
use candle_core::Result;

/// Hash over numbers and the hash of parameter buffers, in order.
pub(crate) fn with_numbers(hash: u64, numbers: &[f64]) -> u64 {
    let mix = |hash: u64, number: &f64| hash.rotate_left(17) ^ number.to_bits();
    numbers.iter().fold(hash, mix)
}

/// Hash of the hashes, in order.
pub(crate) fn combined<'a>(buffers: impl IntoIterator<Item = &'a Params>) -> Result<u64> {
    buffers.into_iter().try_fold(0, |hash: u64, params| {
        Ok(hash.rotate_left(17) ^ params.hash()?)
    })
}
