//! Adversarial imitation (Ho and Ermon, arXiv 1606.03476): a discriminator tells expert from student and rewards the student, which learns by PPO.
//!
//! [`ImitationAgent`] is the whole loop; algorithms differ in their [`RewardModel`].

mod adversary;
mod agent;
pub mod airl;
mod config;
pub mod density;
pub mod drail;
mod expert;
pub mod gail;
mod model;
mod plain;
mod replayed;
mod reward;
pub mod scorer;
pub mod step_network;
pub mod vail;
pub mod wail;

pub use agent::ImitationAgent;
pub use config::ImitationConfig;
pub use expert::Expert;
pub(crate) use model::halves;
pub use model::{ExpertRows, Method, Minibatch, RewardModel, Student};
pub use plain::PlainConfig;
pub use replayed::{ReplayedAgent, ReplayedConfig};
pub use reward::{RewardKind, cross_entropy};
