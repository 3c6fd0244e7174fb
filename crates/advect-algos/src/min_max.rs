//! Affine maps of data to `[-1, 1]`, by the smallest and the largest value of every column.

use advect_rl::{StateDict, StateError};
use candle_core::{Device, Result, Tensor};

/// Bounds of every column; `x -> 2 (x - low) / (high - low) - 1`, and 0 where a column is constant.
#[derive(Debug, Clone, PartialEq)]
pub struct MinMax {
    low: Vec<f32>,
    high: Vec<f32>,
}

impl MinMax {
    /// Bounds that change nothing: -1 and 1.
    pub fn identity(width: usize) -> Self {
        Self {
            low: vec![-1.0; width],
            high: vec![1.0; width],
        }
    }

    /// The bounds of rows `values`, `[n, width]`.
    pub fn of(values: &[f32], width: usize) -> Self {
        let column = |i: usize| values.iter().skip(i).step_by(width.max(1)).copied();
        Self {
            low: (0..width)
                .map(|i| column(i).fold(f32::INFINITY, f32::min))
                .collect(),
            high: (0..width)
                .map(|i| column(i).fold(f32::NEG_INFINITY, f32::max))
                .collect(),
        }
    }

    /// The same bounds, with one unit to each side of a constant column: for what a policy generates, so that nothing of it is without
    /// effect.
    #[must_use]
    pub fn widened(mut self) -> Self {
        for (low, high) in self.low.iter_mut().zip(&mut self.high) {
            if *low == *high {
                (*low, *high) = (*low - 1.0, *high + 1.0);
            }
        }
        self
    }

    /// The same bounds for `count` rows behind each other.
    #[must_use]
    pub fn repeated(&self, count: usize) -> Self {
        Self {
            low: self.low.repeat(count),
            high: self.high.repeat(count),
        }
    }

    /// Columns.
    pub fn width(&self) -> usize {
        self.low.len()
    }

    /// Maps data to `[-1, 1]`.
    ///
    /// # Shapes
    /// `x` `[.., width]`, and the result of the same shape.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn normalise(&self, x: &Tensor) -> Result<Tensor> {
        let gain = |(low, high): (&f32, &f32)| if high > low { 2.0 / (high - low) } else { 0.0 };
        let gains: Vec<f32> = self.low.iter().zip(&self.high).map(gain).collect();
        let shift = |(low, high): (&f32, &f32)| -0.5 * (low + high);
        let shifts: Vec<f32> = self.low.iter().zip(&self.high).map(shift).collect();
        let (gains, shifts) = (row(gains, x.device())?, row(shifts, x.device())?);
        x.broadcast_add(&shifts)?.broadcast_mul(&gains)
    }

    /// The inverse of [`MinMax::normalise`]; a constant column gets its value.
    ///
    /// # Shapes
    /// `x` `[.., width]`, and the result of the same shape.
    ///
    /// # Errors
    /// On a shape mismatch.
    pub fn restore(&self, x: &Tensor) -> Result<Tensor> {
        let half = |(low, high): (&f32, &f32)| 0.5 * (high - low);
        let halves: Vec<f32> = self.low.iter().zip(&self.high).map(half).collect();
        let middle = |(low, high): (&f32, &f32)| 0.5 * (low + high);
        let middles: Vec<f32> = self.low.iter().zip(&self.high).map(middle).collect();
        let (halves, middles) = (row(halves, x.device())?, row(middles, x.device())?);
        x.broadcast_mul(&halves)?.broadcast_add(&middles)
    }

    /// Writes `{prefix}/low` and `{prefix}/high`.
    pub fn save(&self, prefix: &str, out: &mut StateDict) {
        out.put_vec(format!("{prefix}/low"), self.low.clone());
        out.put_vec(format!("{prefix}/high"), self.high.clone());
    }

    /// Continues from what [`MinMax::save`] wrote.
    ///
    /// # Errors
    /// If an entry is missing or has another width.
    pub fn load(&mut self, prefix: &str, from: &StateDict) -> std::result::Result<(), StateError> {
        let shape = [self.width()];
        let low = from
            .array::<f32>(&format!("{prefix}/low"), &shape)?
            .to_vec();
        let high = from
            .array::<f32>(&format!("{prefix}/high"), &shape)?
            .to_vec();
        (self.low, self.high) = (low, high);
        Ok(())
    }
}

fn row(values: Vec<f32>, device: &Device) -> Result<Tensor> {
    let width = values.len();
    Tensor::from_vec(values, width, device)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_come_to_the_ends_of_the_interval_and_back() -> Result<()> {
        let data = [0.0f32, 5.0, 7.0, 4.0, 5.0, -1.0, 1.0, 5.0, 3.0];
        let bounds = MinMax::of(&data, 3);
        let x = Tensor::from_slice(&data, (3, 3), &Device::Cpu)?;
        let normalised = bounds.normalise(&x)?.to_vec2::<f32>()?;
        assert_eq!(
            normalised,
            [[-1.0, 0.0, 1.0], [1.0, 0.0, -1.0], [-0.5, 0.0, 0.0]]
        );
        let back = bounds.restore(&bounds.normalise(&x)?)?;
        assert_eq!(back.to_vec2::<f32>()?, x.to_vec2::<f32>()?);
        let widened = bounds.clone().widened();
        let point = Tensor::new(&[[0.0f32, 1.0, 0.0]], &Device::Cpu)?;
        assert_eq!(
            widened.restore(&point)?.to_vec2::<f32>()?,
            [[2.0, 6.0, 3.0]]
        );
        let twice = bounds.repeated(2);
        assert_eq!(twice.width(), 6);
        let rows = Tensor::cat(&[&x, &x], 1)?;
        assert_eq!(
            twice.restore(&twice.normalise(&rows)?)?.to_vec2::<f32>()?,
            rows.to_vec2::<f32>()?
        );
        let same = MinMax::identity(3).normalise(&x)?.to_vec2::<f32>()?;
        assert_eq!(same, x.to_vec2::<f32>()?);
        Ok(())
    }
}
