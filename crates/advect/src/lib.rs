//! Flow-policy reinforcement learning: the facade library and the command.

pub mod machine;
pub mod names;
pub mod plot;
