//! Proximal policy optimisation (Schulman et al., arXiv 1707.06347), with the implementation details of Huang et al. 2022.
//!
//! The [`Learner`] is the whole algorithm but for where rewards come from, so that an imitation algorithm can give its own and add a
//! term to the loss.

pub mod actor_critic;
pub mod agent;
pub mod config;
pub mod experience;
pub mod learner;
pub mod loss;
pub mod policy;
mod pretrained;
pub mod regulariser;
pub(crate) mod report;
pub mod surrogate;
pub mod value;

pub use actor_critic::ActorCritic;
pub use agent::PpoAgent;
pub use config::PpoConfig;
pub use experience::{Discount, Experience};
pub use learner::Learner;
pub use policy::Policy;
