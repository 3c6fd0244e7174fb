//! What the algorithms that learn from past data have in common: settings, parts, and the agent around an algorithm's own equations.

mod actor_critic;
mod agent;
mod config;
mod streams;

pub use actor_critic::ActorCritic;
pub(crate) use actor_critic::Networks;
pub use agent::{OffPolicyAgent, OffPolicyAlgorithm};
pub use config::{Counting, OffPolicyConfig};
pub use streams::Streams;
