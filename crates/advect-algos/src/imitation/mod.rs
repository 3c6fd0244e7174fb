//! Adversarial imitation (Ho and Ermon, arXiv 1606.03476): a discriminator tells expert from student and rewards the student, which learns by PPO.
//!
//! [`ImitationAgent`] is the whole loop; algorithms differ in their [`RewardModel`].

mod agent;
mod config;
mod expert;
pub mod gail;
mod model;
mod reward;

pub use agent::ImitationAgent;
pub(crate) use agent::Settings;
pub use config::ImitationConfig;
pub use expert::Expert;
pub use model::{ExpertRows, RewardModel};
pub use reward::{RewardKind, cross_entropy};
