//! Parameters with their optimiser, and with a slowly moving copy.

use advect_kernels::optim::{Adam, AdamConfig};
use advect_kernels::scalars::Scalar;
use advect_kernels::{Params, Schedule};
use candle_core::backprop::GradStore;
use candle_core::{Result, Tensor};

use crate::state::{StateDict, StateError};

/// Parameters and the Adam optimiser that moves them.
#[derive(Debug)]
pub struct Learned {
    params: Params,
    adam: Adam,
}

impl Learned {
    /// Parameters at their initial values.
    ///
    /// # Errors
    /// If the device fails.
    pub fn new(params: Params, adam: AdamConfig) -> Result<Self> {
        let adam = Adam::new(&params, adam)?;
        Ok(Self { params, adam })
    }

    /// The parameters.
    pub fn params(&self) -> &Params {
        &self.params
    }

    /// Optimiser steps made, see [`Adam::steps`].
    pub fn steps(&self) -> u64 {
        self.adam.steps()
    }

    /// Gradient of `loss` with respect to the parameters, flat like [`Params::tensor`].
    ///
    /// # Errors
    /// If the loss does not depend on them.
    pub fn gradient(&self, loss: &Tensor) -> Result<Tensor> {
        self.gradient_in(&loss.backward()?)
    }

    /// Their part of the gradients of a loss that other parameters have a part of too.
    ///
    /// # Errors
    /// If the loss does not depend on them.
    pub fn gradient_in(&self, gradients: &GradStore) -> Result<Tensor> {
        let unused = || {
            let first = self.params.layout().entries().first();
            let name = first.map_or("", |entry| entry.name.as_str());
            candle_core::Error::Msg(format!(
                "the loss does not depend on its parameters (the first is `{name}`)"
            ))
        };
        gradients.get(self.params.var()).cloned().ok_or_else(unused)
    }

    /// Learning rate of the last step, see [`Adam::rate`].
    ///
    /// # Errors
    /// If the device fails.
    pub fn rate(&self) -> Result<Scalar> {
        self.adam.rate()
    }

    /// One Adam step; returns the gradient's norm before clipping, a scalar of f64.
    ///
    /// # Errors
    /// If the gradient has another shape.
    pub fn step(&mut self, gradient: &Tensor, lr: impl Into<Schedule>) -> Result<Tensor> {
        self.adam.step(&self.params, gradient, lr)
    }

    /// One Adam step down the gradient of `loss`; returns the gradient's norm before clipping.
    ///
    /// # Errors
    /// If the loss does not depend on the parameters.
    pub fn descend(&mut self, loss: &Tensor, lr: impl Into<Schedule>) -> Result<Tensor> {
        let gradient = self.gradient(loss)?;
        self.step(&gradient, lr)
    }

    /// Writes parameters and optimiser as `{prefix}/{name}` and `{prefix}/adam`.
    fn save_as(
        &self,
        prefix: &str,
        name: &str,
        out: &mut StateDict,
    ) -> std::result::Result<(), StateError> {
        out.put_params(format!("{prefix}/{name}"), &self.params)?;
        out.put_adam(&format!("{prefix}/adam"), &self.adam)
    }

    fn load_from(
        &mut self,
        prefix: &str,
        name: &str,
        from: &StateDict,
    ) -> std::result::Result<(), StateError> {
        from.load_params(&format!("{prefix}/{name}"), &self.params)?;
        from.load_adam(&format!("{prefix}/adam"), &mut self.adam)
    }

    /// Writes parameters and optimiser as `{prefix}/params` and `{prefix}/adam`.
    ///
    /// # Errors
    /// If the device cannot be read.
    pub fn save(&self, prefix: &str, out: &mut StateDict) -> std::result::Result<(), StateError> {
        self.save_as(prefix, "params", out)
    }

    /// Continues from what [`Learned::save`] wrote.
    ///
    /// # Errors
    /// If an entry is missing or has another shape.
    pub fn load(&mut self, prefix: &str, from: &StateDict) -> std::result::Result<(), StateError> {
        self.load_from(prefix, "params", from)
    }
}

/// Learned parameters and their exponential moving average: a target network, or the policy that acts.
#[derive(Debug)]
pub struct Averaged {
    /// The parameters that learn.
    pub online: Learned,
    average: Params,
}

impl Averaged {
    /// The average starts as a copy.
    ///
    /// # Errors
    /// If the device fails.
    pub fn new(params: Params, adam: AdamConfig) -> Result<Self> {
        let average = params.duplicate()?;
        let online = Learned::new(params, adam)?;
        Ok(Self { online, average })
    }

    /// The moving average.
    pub fn average(&self) -> &Params {
        &self.average
    }

    /// `average <- (1 - tau) average + tau online`.
    ///
    /// # Errors
    /// What the kernel reports.
    pub fn update_average(&self, tau: f64) -> Result<()> {
        self.average.lerp_towards(self.online.params(), tau)
    }

    /// The same of several, in one pass.
    ///
    /// # Errors
    /// What the kernel reports.
    pub fn update_averages(all: &[&Self], tau: f64) -> Result<()> {
        let pairs = all.iter().map(|own| (&own.average, own.online.params()));
        let pairs: Vec<(&Params, &Params)> = pairs.collect();
        Params::lerp_all(&pairs, tau)
    }

    /// Online parameters and average, for a hash over both.
    pub fn buffers(&self) -> [&Params; 2] {
        [self.online.params(), &self.average]
    }

    /// Writes both and the optimiser as `{prefix}/online`, `{prefix}/target` and `{prefix}/adam`.
    ///
    /// # Errors
    /// If the device cannot be read.
    pub fn save(&self, prefix: &str, out: &mut StateDict) -> std::result::Result<(), StateError> {
        self.online.save_as(prefix, "online", out)?;
        out.put_params(format!("{prefix}/target"), &self.average)
    }

    /// Continues from what [`Averaged::save`] wrote.
    ///
    /// # Errors
    /// If an entry is missing or has another shape.
    pub fn load(&mut self, prefix: &str, from: &StateDict) -> std::result::Result<(), StateError> {
        self.online.load_from(prefix, "online", from)?;
        from.load_params(&format!("{prefix}/target"), &self.average)
    }
}
