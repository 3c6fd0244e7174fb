//! Networks at their initial values.

use std::sync::Arc;

use advect_kernels::init::{self, Init};
use advect_kernels::optim::AdamConfig;
use advect_kernels::{Activation, ParamLayout, Params};
use advect_rl::{CriticNet, TwinCritic};
use advect_rng::Stream;
use candle_core::{Device, Result};

use crate::dims::Dims;

/// Haiku's default: truncated normal with standard deviation `1/sqrt(fan_in)`, zero biases (flame.md section 2).
pub(crate) const HAIKU: Init = Init::TruncatedNormal { scale: 1.0 };

/// Parameters of one network, drawn from `stream`, the weights of the last layer times `last_layer_scale`.
pub(crate) fn drawn(
    layout: impl Into<Arc<ParamLayout>>,
    scheme: Init,
    last_layer_scale: f64,
    stream: &mut Stream,
    device: &Device,
) -> Result<Params> {
    let layout = layout.into();
    let mut values = init::draw(&layout, scheme, stream);
    let mut entries = layout.entries().iter().rev();
    if let Some(last) = entries.find(|entry| entry.shape.len() == 2) {
        let weights = &mut values[last.range()];
        weights
            .iter_mut()
            .for_each(|w| *w *= last_layer_scale as f32);
    }
    Params::from_vec(layout, None, values, device)
}

/// What twin critics are made of.
#[derive(Debug, Clone, Copy)]
pub(crate) struct CriticSpec<'a> {
    pub hidden: &'a [usize],
    pub activation: Activation,
    pub init: Init,
    pub adam: AdamConfig,
}

impl CriticSpec<'_> {
    /// Two critics, drawn independently from forks of `stream`.
    pub(crate) fn build(&self, dims: Dims, stream: &Stream, device: &Device) -> Result<TwinCritic> {
        let net = CriticNet::new(dims.obs, dims.act, self.hidden, self.activation)?;
        let layout = net.layout();
        let draw = |name: &str| init::draw(&layout, self.init, &mut stream.fork(name));
        let values = [draw("q1"), draw("q2")].concat();
        let online = Params::from_vec(layout.clone(), Some(2), values, device)?;
        TwinCritic::new(net, online, self.adam)
    }
}
