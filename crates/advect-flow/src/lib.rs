#![doc = include_str!("../README.md")]

pub mod density;
pub mod diffusion;
mod error;
pub mod field;
pub mod flow_matching;
pub mod meanflow;
pub mod network;
pub mod sampler;
pub mod time_embedding;
pub mod vision;

pub use diffusion::{NoiseSchedule, ReverseChain};
pub use field::{Candidates, Conditional, DifferentiableField, Field, Grid, Span, StepTimes};
pub use flow_matching::TimeConvention;
pub use meanflow::TimeSampler;
pub use network::{
    FlowNet, InputOrder, MeanVelocityNet, NetConfig, RldtNet, Tangent, TrunkConfig, VelocityNet,
};
pub use time_embedding::{TimeEmbedding, TimeFeatures};
pub use vision::{ImageNet, ImageNetConfig};
