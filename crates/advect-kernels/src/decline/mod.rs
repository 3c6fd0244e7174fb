//! A number that falls with the count of updates, also where a graph repeats them.

#[cfg(feature = "cuda")]
mod cuda;

use candle_core::{Device, Result};

use crate::graph::Position;
use crate::scalars::Scalar;

/// `clip(high (1 - t / total), low, high)` at `t = first + every floor(n / per)` after `n` updates.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Decline {
    /// Value at `t = 0`, and the largest.
    pub high: f64,
    /// Smallest value, unless it is above the largest.
    pub low: f64,
    /// `t` at which it would be 0.
    pub total: u64,
    /// `t` before the first update.
    pub first: u64,
    /// What `per` updates add to `t`.
    pub every: u64,
    /// Updates between two values of `t`; 0 counts as 1.
    pub per: u64,
}

impl Decline {
    /// The value after `updates`.
    pub fn value(&self, updates: u64) -> f64 {
        let t = self.first + self.every * (updates / self.per.max(1));
        let left = 1.0 - t as f64 / self.total as f64;
        (self.high * left).max(self.low).min(self.high)
    }

    /// The same where it is used; in a graph the device counts the updates, see [`Decline::position`].
    ///
    /// # Errors
    /// If the device fails.
    pub fn at(&self, updates: u64, device: &Device) -> Result<Scalar> {
        #[cfg(feature = "cuda")]
        if device.is_cuda() {
            return cuda::at(self, Self::position(updates), device).map(Scalar::Device);
        }
        let _ = device;
        Ok(Scalar::Host(self.value(updates)))
    }

    /// The count of updates, as a graph moves it.
    pub fn position(updates: u64) -> Position {
        Position::named("advect/updates", updates)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_falls_in_steps_to_its_least_value() -> Result<()> {
        let decline = Decline {
            high: 0.5,
            low: 0.1,
            total: 100,
            first: 10,
            every: 4,
            per: 2,
        };
        let values = [0, 1, 2, 3, 40].map(|n| decline.value(n));
        assert_eq!(values, [0.45, 0.45, 0.43, 0.43, 0.1]);
        assert_eq!(decline.at(2, &Device::Cpu)?.read()?, 0.43);
        let odd = Decline {
            low: 0.9,
            per: 0,
            ..decline
        };
        assert_eq!(odd.value(7), 0.5, "never above the largest");
        Ok(())
    }
}
