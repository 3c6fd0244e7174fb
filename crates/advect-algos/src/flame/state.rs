//! The temperature with its value at hand.

use advect_kernels::optim::AdamConfig;
use advect_rl::{StateDict, StateError, Temperature};
use candle_core::{Device, Result};

/// The temperature, and `alpha` as a number so that the device is read once per change.
#[derive(Debug)]
pub(super) struct AlphaState {
    pub temperature: Temperature,
    pub alpha: f64,
}

impl AlphaState {
    pub fn new(init_alpha: f64, device: &Device) -> Result<Self> {
        let temperature = Temperature::new(init_alpha, AdamConfig::default(), device)?;
        Ok(Self {
            alpha: temperature.alpha()?,
            temperature,
        })
    }

    pub fn refresh(&mut self) -> Result<()> {
        self.alpha = self.temperature.alpha()?;
        Ok(())
    }

    pub fn load(&mut self, from: &StateDict) -> std::result::Result<(), StateError> {
        self.temperature.load("temperature", from)?;
        Ok(self.refresh()?)
    }
}
