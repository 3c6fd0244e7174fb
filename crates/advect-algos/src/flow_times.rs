//! Flow times of a policy's loss, drawn from an agent's stream.

use advect_flow::TimeSampler;
use advect_kernels::pointwise::sorted;
use advect_kernels::random;
use advect_rng::Stream;
use candle_core::{Device, Result, Tensor};

/// One time per row, `[rows]`.
pub(crate) fn single(
    sampler: TimeSampler,
    rows: usize,
    stream: &mut Stream,
    device: &Device,
) -> Result<Tensor> {
    match sampler {
        TimeSampler::Uniform { low, high } => {
            random::uniform(stream, low as f32, high as f32, rows, device)
        }
        TimeSampler::LogitNormal { .. } => sampler.map(&random::normal(stream, rows, device)?),
    }
}

/// A sorted pair `(r, t)` per row, both `[rows]`.
pub(crate) fn pair(
    sampler: TimeSampler,
    rows: usize,
    stream: &mut Stream,
    device: &Device,
) -> Result<(Tensor, Tensor)> {
    let first = single(sampler, rows, stream, device)?;
    sorted(&first, &single(sampler, rows, stream, device)?)
}
