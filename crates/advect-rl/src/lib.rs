#![doc = include_str!("../README.md")]

mod acting;
pub mod agent;
pub mod batch;
pub mod behaviour;
pub mod checkpoint;
pub mod collect;
pub mod config;
pub mod critic;
pub mod error;
pub mod eval;
mod loop_state;
pub mod metrics;
pub mod progress;
pub mod recorded;
pub mod replay;
pub mod replay_store;
pub mod run_dir;
pub mod state;
pub mod storage;
pub mod temperature;
pub mod tensorboard;
mod tracker;
pub mod train;
pub mod watch;

pub use agent::{ActMode, Agent, LoopSettings, Metrics};
pub use batch::Batch;
pub use config::{ConfigError, RunConfig};
pub use critic::{CriticNet, TwinCritic};
pub use error::{RunError, TrainError};
pub use eval::{EnvFactory, EvalReport};
pub use progress::{Progress, Snapshot};
pub use replay::{Replay, ReplayError, Transitions};
pub use run_dir::RunDir;
pub use state::{StateDict, StateError};
pub use temperature::Temperature;
pub use train::{Outcome, Trainer};
