//! Environments of another process: Gymnasium's, or those of any server that speaks the protocol.
//!
//! [`make`](crate::make) takes `gym:ID` and starts a Python for that one environment. A [`Bridge`] is a process that
//! several environments share: within a [`VecEnv`](crate::VecEnv) their actions travel in one message, so that the cost per step falls. A
//! [`Pool`] starts as many processes as are needed and uses them again. The guide `docs/guides/bridge.md` has the
//! protocol.

mod config;
mod env;
mod episode;
mod error;
mod frame;
mod hub;
mod peer;
mod pool;
mod process;
mod tail;

use std::ffi::OsString;
use std::sync::{Arc, Mutex};
use std::time::Duration;

pub use config::{BridgeConfig, OnCrash, OnResume, PYTHON_VARIABLE, Timeouts};
pub use env::BridgedEnv;
pub use error::BridgeError;
pub use pool::Pool;

use crate::EnvError;
use hub::Hub;

/// What an id of [`make`](crate::make) begins with if Gymnasium is to make the environment.
pub const GYM_PREFIX: &str = "gym:";

/// Longest wait for an environment to close.
const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// A process that runs environments. It ends when the bridge and all its environments are dropped.
#[derive(Debug, Clone)]
pub struct Bridge {
    hub: Arc<Mutex<Hub>>,
}

impl Bridge {
    /// Starts the process of `config`.
    ///
    /// # Errors
    /// [`EnvError::Bridge`] if it does not start or does not greet.
    pub fn start(config: BridgeConfig) -> Result<Self, EnvError> {
        let name = config.name.clone();
        let hub = Hub::start(config).map_err(|fault| env::failed(&name, fault))?;
        Ok(Self {
            hub: Arc::new(Mutex::new(hub)),
        })
    }

    /// Makes another environment in the process.
    ///
    /// # Errors
    /// [`EnvError::Bridge`]; the process is then ended, with all its environments.
    pub fn make(&self) -> Result<BridgedEnv, EnvError> {
        BridgedEnv::open(Arc::clone(&self.hub))
    }

    /// The number of its environments.
    pub fn live(&self) -> usize {
        env::lock(&self.hub).live()
    }

    /// The failures after which the process was started again, oldest first.
    pub fn crashes(&self) -> Vec<BridgeError> {
        env::lock(&self.hub).crashes().to_vec()
    }

    /// Id of the process, if it runs.
    pub fn process_id(&self) -> Option<u32> {
        env::lock(&self.hub).process_id()
    }

    /// Whether it failed for good.
    pub fn is_broken(&self) -> bool {
        env::lock(&self.hub).is_broken()
    }
}

/// Gymnasium's environment `id` in a process of its own, run by `python`; without one by `$ADVECT_PYTHON`, else by
/// `python3`.
///
/// # Errors
/// [`EnvError::Bridge`].
pub fn gym(id: &str, python: Option<OsString>) -> Result<BridgedEnv, EnvError> {
    Bridge::start(BridgeConfig::gym(id, python))?.make()
}
