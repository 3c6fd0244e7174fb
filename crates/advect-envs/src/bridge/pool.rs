//! As many processes as the environments need.

use std::sync::{Mutex, PoisonError};

use super::{Bridge, BridgeConfig, BridgedEnv};
use crate::EnvError;

/// Makes environments of one configuration, a fixed number per process; places of dropped ones are used again, so
/// that an evaluation need not start a Python per episode.
///
/// ```no_run
/// use advect_envs::VecEnv;
/// use advect_envs::bridge::{BridgeConfig, Pool};
///
/// # fn main() -> Result<(), advect_envs::EnvError> {
/// // eight environments in two processes, stepped by two messages per step
/// let pool = Pool::new(BridgeConfig::gym("BipedalWalker-v3", None), 4);
/// let envs = VecEnv::new(|_| Ok(Box::new(pool.make()?)), 8, 1, 0)?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Pool {
    config: BridgeConfig,
    per_process: usize,
    bridges: Mutex<Vec<Bridge>>,
}

impl Pool {
    /// A pool with `per_process` environments in each process, at least one; no process is started yet.
    pub fn new(config: BridgeConfig, per_process: usize) -> Self {
        Self {
            config,
            per_process: per_process.max(1),
            bridges: Mutex::new(Vec::new()),
        }
    }

    /// Makes an environment in the first process that has a place, else in a new one.
    ///
    /// # Errors
    /// [`EnvError::Bridge`].
    pub fn make(&self) -> Result<BridgedEnv, EnvError> {
        let mut bridges = self.bridges.lock().unwrap_or_else(PoisonError::into_inner);
        bridges.retain(|bridge| !bridge.is_broken());
        if let Some(bridge) = bridges.iter().find(|b| b.live() < self.per_process) {
            return bridge.make();
        }
        let bridge = Bridge::start(self.config.clone())?;
        let env = bridge.make()?;
        bridges.push(bridge);
        Ok(env)
    }

    /// The processes that run.
    pub fn bridges(&self) -> Vec<Bridge> {
        let bridges = self.bridges.lock().unwrap_or_else(PoisonError::into_inner);
        bridges.clone()
    }
}
