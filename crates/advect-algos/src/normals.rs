//! Where the noise of an action comes from.

use advect_rng::{Stream, StreamState};
use candle_core::{Device, Result, Shape, Tensor};

/// Standard normals for the actions at a batch of observations, as many as a sampler asks for.
#[derive(Debug)]
pub enum Normals<'a> {
    /// One after the other from a stream: exploration and training.
    Stream(&'a mut Stream),
    /// A stream per observation: evaluation.
    Rows(Vec<Stream>),
}

impl Normals<'_> {
    /// Noise in which a row depends on `base` and on the bits of its observation only, so that a policy that draws from
    /// it acts deterministically and leaves the training streams alone.
    ///
    /// # Shapes
    /// `obs` `[n, o]`.
    ///
    /// # Errors
    /// If the device cannot be read.
    pub fn per_observation(base: &Stream, obs: &Tensor) -> Result<Self> {
        let rows = obs.to_device(&Device::Cpu)?.to_vec2::<f32>()?;
        let stream = |row: &Vec<f32>| {
            let state = base.state();
            let stream = state.stream ^ advect_kernels::params::hash_values(row);
            Stream::from_state(StreamState { stream, ..state })
        };
        Ok(Self::Rows(rows.iter().map(stream).collect()))
    }

    /// The next normals of that shape; its first axis are the observations.
    ///
    /// # Errors
    /// If the device fails.
    pub fn draw(&mut self, shape: impl Into<Shape>, device: &Device) -> Result<Tensor> {
        let streams = match self {
            Self::Stream(stream) => return advect_kernels::random::normal(stream, shape, device),
            Self::Rows(streams) => streams,
        };
        let shape = shape.into();
        if shape.dims().first() != Some(&streams.len()) {
            let problem = format!("{:?} for {} observations", shape.dims(), streams.len());
            return Err(candle_core::Error::Msg(format!(
                "normals of the shape {problem}"
            )));
        }
        let mut values = vec![0.0; shape.elem_count()];
        let per_row = values.len() / streams.len().max(1);
        for (stream, row) in streams
            .iter_mut()
            .zip(values.chunks_exact_mut(per_row.max(1)))
        {
            stream.fill_normal(row);
        }
        Tensor::from_vec(values, shape, device)
    }

    /// Uniform random numbers of `range`, one per observation: `[rows]` u32.
    ///
    /// # Errors
    /// If the device fails.
    pub fn indices(
        &mut self,
        range: std::ops::Range<u32>,
        rows: usize,
        device: &Device,
    ) -> Result<Tensor> {
        let count = range.end.saturating_sub(range.start);
        if count == 0 {
            return Err(candle_core::Error::Msg(format!(
                "no number lies in {range:?}"
            )));
        }
        let mut index = vec![0; rows];
        match self {
            Self::Stream(stream) => stream.fill_indices(count, &mut index),
            Self::Rows(streams) => {
                let own = streams.iter_mut().zip(index.chunks_exact_mut(1));
                own.for_each(|(stream, out)| stream.fill_indices(count, out));
            }
        }
        index.iter_mut().for_each(|i| *i += range.start);
        Tensor::from_vec(index, rows, device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_follow_their_observation_not_their_place() -> Result<()> {
        let device = Device::Cpu;
        let obs = Tensor::new(&[[1f32, 2.0], [3.0, 4.0], [1.0, 2.0]], &device)?;
        let mut normals = Normals::per_observation(&Stream::new(0, "evaluation"), &obs)?;
        let rows = normals.draw((3, 5), &device)?.to_vec2::<f32>()?;
        assert_eq!(rows[0], rows[2]);
        assert_ne!(rows[0], rows[1]);
        let next = normals.draw((3, 5), &device)?.to_vec2::<f32>()?;
        assert_eq!(next[0], next[2]);
        assert_ne!(rows[0], next[0]);
        let mut other = Normals::per_observation(&Stream::new(1, "evaluation"), &obs)?;
        assert_ne!(rows[0], other.draw((3, 5), &device)?.to_vec2::<f32>()?[0]);
        Ok(())
    }
}
