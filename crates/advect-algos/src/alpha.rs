//! The temperature with its value at hand.

use advect_kernels::optim::AdamConfig;
use advect_kernels::scalars::Scalar;
use advect_rl::{StateDict, StateError, Temperature};
use candle_core::{Device, Result, Tensor};

/// The temperature, and `alpha`, which is computed once per change.
#[derive(Debug)]
pub(crate) struct AlphaState {
    pub temperature: Temperature,
    pub alpha: Scalar,
}

impl AlphaState {
    pub(crate) fn new(init_alpha: f64, device: &Device) -> Result<Self> {
        let temperature = Temperature::new(init_alpha, AdamConfig::default(), device)?;
        Ok(Self {
            alpha: temperature.alpha()?,
            temperature,
        })
    }

    /// One Adam step with the gradient in `log alpha`.
    pub(crate) fn step(&mut self, gradient: &Tensor, lr: f64) -> Result<()> {
        self.temperature.step(gradient, lr)?;
        self.refresh()
    }

    pub(crate) fn load(&mut self, from: &StateDict) -> std::result::Result<(), StateError> {
        self.temperature.load("temperature", from)?;
        Ok(self.refresh()?)
    }

    fn refresh(&mut self) -> Result<()> {
        self.alpha.assign(self.temperature.alpha()?)
    }
}
