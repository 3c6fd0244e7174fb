//! Noise of an evaluation: a function of the evaluation stream and the observation alone.

use advect_rng::{Stream, StreamState};
use candle_core::{Device, Result, Tensor};

/// Standard normals `[n, per_row]` in which a row depends on `base` and on the bits of its observation only, so that a
/// policy that draws from them acts deterministically and leaves the training streams alone.
///
/// # Shapes
/// `obs` `[n, o]`.
///
/// # Errors
/// If the device cannot be read.
pub(crate) fn normals_per_observation(
    base: &Stream,
    obs: &Tensor,
    per_row: usize,
) -> Result<Tensor> {
    let rows = obs.to_device(&Device::Cpu)?.to_vec2::<f32>()?;
    let mut values = vec![0.0; rows.len() * per_row];
    for (row, out) in rows.iter().zip(values.chunks_exact_mut(per_row.max(1))) {
        let state = base.state();
        let stream = state.stream ^ advect_kernels::params::hash_values(row);
        Stream::from_state(StreamState { stream, ..state }).fill_normal(out);
    }
    Tensor::from_vec(values, (rows.len(), per_row), obs.device())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_follow_their_observation_not_their_place() -> Result<()> {
        let obs = Tensor::new(&[[1f32, 2.0], [3.0, 4.0], [1.0, 2.0]], &Device::Cpu)?;
        let base = Stream::new(0, "evaluation");
        let rows = normals_per_observation(&base, &obs, 5)?.to_vec2::<f32>()?;
        assert_eq!(rows[0], rows[2]);
        assert_ne!(rows[0], rows[1]);
        let other =
            normals_per_observation(&Stream::new(1, "evaluation"), &obs, 5)?.to_vec2::<f32>()?;
        assert_ne!(rows[0], other[0]);
        Ok(())
    }
}
