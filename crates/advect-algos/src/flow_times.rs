//! Flow times of a policy's loss, drawn from an agent's stream.

use advect_flow::TimeSampler;
use advect_kernels::random;
use advect_rng::Stream;
use candle_core::{Device, Result, Tensor};

/// What [`TimeSampler::map`] takes, `[rows]`.
fn draws(
    sampler: TimeSampler,
    rows: usize,
    stream: &mut Stream,
    device: &Device,
) -> Result<Tensor> {
    if sampler.takes_normals() {
        return random::normal(stream, rows, device);
    }
    random::uniform(stream, 0.0, 1.0, rows, device)
}

/// One time per row, `[rows]`.
pub(crate) fn single(
    sampler: TimeSampler,
    rows: usize,
    stream: &mut Stream,
    device: &Device,
) -> Result<Tensor> {
    sampler.map(&draws(sampler, rows, stream, device)?)
}

/// A sorted pair `(r, t)` per row, both `[rows]`.
pub(crate) fn pair(
    sampler: TimeSampler,
    rows: usize,
    stream: &mut Stream,
    device: &Device,
) -> Result<(Tensor, Tensor)> {
    let first = draws(sampler, rows, stream, device)?;
    sampler.pair(&first, &draws(sampler, rows, stream, device)?)
}
