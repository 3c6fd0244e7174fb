#![doc = include_str!("../README.md")]

mod alpha;
pub mod candidates;
pub mod diffusion_policy;
mod dims;
pub mod dipo;
pub mod dpmd;
mod error;
pub mod flame;
mod flow_times;
pub mod fmer;
pub mod fpmd;
pub mod gaussian;
pub mod generator;
mod hash;
mod networks;
pub mod noisy_best_of;
pub mod normals;
pub mod off_policy;
pub mod ppo;
pub mod qvpo;
pub mod registry;
pub mod rldt;
pub mod rows;
pub mod sac;
pub mod scoring;
pub mod sdac;
pub mod squash;
pub mod td3;
mod validate;
pub mod volume;

pub use dims::Dims;
pub use error::AlgoError;
pub use off_policy::OffPolicyConfig;
pub use scoring::Scoring;
