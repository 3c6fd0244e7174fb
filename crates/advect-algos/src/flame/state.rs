//! What FLAME carries from update to update.

use advect_kernels::optim::{Adam, AdamConfig};
use advect_kernels::{Activation, Params, init};
use advect_rl::{CriticNet, StateDict, StateError, Temperature, TwinCritic};
use advect_rng::Stream;
use candle_core::{Device, Result};

use super::config::FlameConfig;
use super::generator::Generator;
use crate::dims::Dims;

/// Haiku's default: truncated normal with standard deviation `1/sqrt(fan_in)` (flame.md section 2).
const INIT: init::Init = init::Init::TruncatedNormal { scale: 1.0 };

/// The online policy, its moving average and its optimiser.
#[derive(Debug)]
pub(super) struct PolicyState {
    /// Learned parameters.
    pub online: Params,
    /// Moving average, for behaviour and evaluation.
    pub average: Params,
    /// Optimiser of the online parameters.
    pub adam: Adam,
}

impl PolicyState {
    pub fn new(generator: &Generator, stream: &mut Stream, device: &Device) -> Result<Self> {
        let layout = generator.layout().clone();
        let values = init::draw(&layout, INIT, stream);
        let online = Params::from_vec(layout, None, values, device)?;
        let adam = Adam::new(&online, AdamConfig::default())?;
        Ok(Self {
            average: online.duplicate()?,
            online,
            adam,
        })
    }

    pub fn save(&self, out: &mut StateDict) -> std::result::Result<(), StateError> {
        out.put_params("policy/online", &self.online)?;
        out.put_params("policy/average", &self.average)?;
        out.put_adam("policy/adam", &self.adam)
    }

    pub fn load(&mut self, from: &StateDict) -> std::result::Result<(), StateError> {
        from.load_params("policy/online", &self.online)?;
        from.load_params("policy/average", &self.average)?;
        from.load_adam("policy/adam", &mut self.adam)
    }
}

/// Twin critics, Mish, independently drawn.
pub(super) fn critics(
    config: &FlameConfig,
    dims: Dims,
    stream: &Stream,
    device: &Device,
) -> Result<TwinCritic> {
    let net = CriticNet::new(dims.obs, dims.act, &config.hidden, Activation::Mish)?;
    let layout = net.layout();
    let draw = |name: &str| init::draw(&layout, INIT, &mut stream.fork(name));
    let values = [draw("q1"), draw("q2")].concat();
    let online = Params::from_vec(layout.clone(), Some(2), values, device)?;
    TwinCritic::new(net, online, AdamConfig::default())
}

/// One stream per use, so that a switch that needs no noise does not move the others.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Streams {
    /// Candidates and noise of the behaviour.
    pub explore: Stream,
    /// Candidates and noise of the action in the critic's target.
    pub next_action: Stream,
    /// Source noise and probes of the entropy estimate.
    pub entropy: Stream,
    /// Noise, times and levels of the policy's loss.
    pub policy: Stream,
}

impl Streams {
    pub fn new(seed: u64) -> Self {
        let stream = |name: &str| Stream::new(seed, &format!("flame/{name}"));
        Self {
            explore: stream("explore"),
            next_action: stream("next_action"),
            entropy: stream("entropy"),
            policy: stream("policy"),
        }
    }

    pub fn save(&self, out: &mut StateDict) {
        out.put_stream("streams/explore", &self.explore);
        out.put_stream("streams/next_action", &self.next_action);
        out.put_stream("streams/entropy", &self.entropy);
        out.put_stream("streams/policy", &self.policy);
    }

    pub fn load(from: &StateDict) -> std::result::Result<Self, StateError> {
        Ok(Self {
            explore: from.stream("streams/explore")?,
            next_action: from.stream("streams/next_action")?,
            entropy: from.stream("streams/entropy")?,
            policy: from.stream("streams/policy")?,
        })
    }
}

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
