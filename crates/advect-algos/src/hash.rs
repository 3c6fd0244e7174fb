//! One hash over several parameter buffers.

use advect_kernels::Params;
use candle_core::Result;

/// Hash of the hashes, in order.
pub(crate) fn combined<'a>(buffers: impl IntoIterator<Item = &'a Params>) -> Result<u64> {
    buffers.into_iter().try_fold(0, |hash: u64, params| {
        Ok(hash.rotate_left(17) ^ params.hash()?)
    })
}
