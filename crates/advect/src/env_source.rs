//! Where a run's environments come from: this program, a MuJoCo that is fetched where it is missing, a Python process.

use advect_envs::bridge::{self, BridgeConfig, GYM_PREFIX, Pool};
use advect_envs::{Env, EnvError, EnvSpec};
use advect_rl::{EnvFactory, RunConfig};
use std::ffi::OsString;

/// Environments that share a Python process: fewer messages than one each, and work for several cores.
const PER_PROCESS: usize = 4;

/// Why an agent cannot act in an environment.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The environment cannot be built.
    #[error(transparent)]
    Env(#[from] EnvError),
    /// The agent was trained with other lengths.
    #[error(
        "{id} has observations of {} and actions of {} numbers, but the agent was trained on {run_env} with {} and {}; \
         choose an environment with the same",
        found[0], found[1], wanted[0], wanted[1]
    )]
    OtherDims {
        /// The environment asked for.
        id: String,
        /// Its lengths of observation and action.
        found: [usize; 2],
        /// The environment of the run.
        run_env: String,
        /// Those of the run.
        wanted: [usize; 2],
    },
}

/// An environment's id, and the Python that runs it if it needs one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EnvSource {
    id: String,
    python: Option<OsString>,
}

impl EnvSource {
    /// The environment `id`; `python` runs `gym:` ids, by default `$ADVECT_PYTHON`, else `python3`.
    pub fn new(id: &str, python: Option<&str>) -> Self {
        let python = python.filter(|python| !python.is_empty());
        Self {
            id: id.to_owned(),
            python: python.map(OsString::from),
        }
    }

    /// The id, with its settings.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// That of a run.
    pub fn of(config: &RunConfig) -> Self {
        Self::new(&config.env, Some(&config.python))
    }

    /// Another environment for the agent of a run, `None` for its own; observations and actions have to be as long.
    ///
    /// # Errors
    /// [`SourceError`].
    pub fn for_agent_of(
        config: &RunConfig,
        id: Option<&str>,
        python: Option<&str>,
    ) -> Result<Self, SourceError> {
        let python = python.unwrap_or(&config.python);
        let own = Self::new(&config.env, Some(python));
        let spec = own.provide(&mut |line| eprintln!("{line}"))?;
        let Some(id) = id else { return Ok(own) };
        let other = Self::new(id, Some(python));
        let dims = |spec: &EnvSpec| [spec.obs_dim, spec.act_dim];
        let (wanted, found) = (
            dims(&spec),
            dims(&other.provide(&mut |line| eprintln!("{line}"))?),
        );
        if wanted == found {
            return Ok(other);
        }
        Err(SourceError::OtherDims {
            id: id.into(),
            found,
            run_env: config.env.clone(),
            wanted,
        })
    }

    /// Gymnasium's id, if a Python process runs it.
    fn gym(&self) -> Option<&str> {
        advect_envs::base_id(&self.id).strip_prefix(GYM_PREFIX)
    }

    /// Builds one environment.
    ///
    /// # Errors
    /// An unknown id, or what the simulator reports.
    pub fn make(&self) -> Result<Box<dyn Env>, EnvError> {
        match self.gym() {
            Some(id) => {
                let env = bridge::gym(id, self.python.clone())?;
                advect_envs::with_settings(&self.id, env)
            }
            None => advect_envs::make(&self.id),
        }
    }

    /// Builds environments; those of Python share processes.
    pub fn factory(&self) -> EnvFactory {
        let Some(id) = self.gym() else {
            let id = self.id.clone();
            return Box::new(move || advect_envs::make(&id));
        };
        let pool = Pool::new(BridgeConfig::gym(id, self.python.clone()), PER_PROCESS);
        let full_id = self.id.clone();
        Box::new(move || advect_envs::with_settings(&full_id, pool.make()?))
    }

    /// Refuses an id that nothing here knows. Whether Python knows a `gym:` id shows when it is built.
    ///
    /// # Errors
    /// [`EnvError::UnknownId`] with the nearest ids.
    pub fn check_known(&self) -> Result<(), EnvError> {
        if self.gym().is_some() || advect_envs::ids().contains(&self.id.as_str()) {
            return Ok(());
        }
        match self.make() {
            // a task that is not listed, and whose simulator is fetched later
            Err(EnvError::MujocoUnavailable { .. }) => Ok(()),
            made => made.map(drop),
        }
    }

    /// Makes sure that the environment can be built; fetches MuJoCo where it is missing, after saying so to `say`.
    ///
    /// # Errors
    /// An unknown id, or what fetching reports.
    pub fn provide(&self, say: &mut dyn FnMut(&str)) -> Result<EnvSpec, EnvError> {
        let made = match self.make() {
            Err(EnvError::MujocoUnavailable { .. }) => {
                let id = &self.id;
                say(&format!(
                    "{id} needs MuJoCo models that are not here: fetching them once"
                ));
                advect_envs::mujoco::provision(say)?;
                self.make()
            }
            made => made,
        };
        made.map(|env| env.spec().clone())
    }
}
