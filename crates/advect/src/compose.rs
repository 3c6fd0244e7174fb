//! Runs out of their parts: configuration, device, agent, environments, loop. What the command does, any program can do.
//!
//! ```no_run
//! use advect::compose::{self, Request};
//! use std::path::Path;
//! use std::sync::atomic::AtomicBool;
//!
//! let request = Request { algo: Some("sac".into()), env: Some("Pendulum-v1".into()), ..Request::default() };
//! let mut trainer = compose::start(Path::new("runs"), compose::configure(&request)?)?;
//! let outcome = trainer.run(&AtomicBool::new(false), &mut ())?;
//! println!("{:?}", outcome.eval);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use crate::device::{self, DeviceError};
use crate::env_source::EnvSource;
use crate::presets;
use advect_algos::{AlgoError, registry};
use advect_envs::EnvError;
use advect_rl::config::{ConfigError, apply_overrides, nearest_names};
use advect_rl::{
    Agent, RunConfig, RunDir, RunError, StateDict, TrainError, Trainer, checkpoint, run_dir,
};
use candle_core::Device;
use std::path::Path;
use toml::Table;

/// Why a run cannot be composed.
#[derive(Debug, thiserror::Error)]
pub enum ComposeError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The algorithm.
    #[error(transparent)]
    Algo(#[from] AlgoError),
    /// The environment.
    #[error(transparent)]
    Env(#[from] EnvError),
    /// The device.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// The run directory.
    #[error(transparent)]
    Run(#[from] RunError),
    /// The training loop.
    #[error(transparent)]
    Train(#[from] TrainError),
    /// A tensor operation.
    #[error(transparent)]
    Tensor(#[from] candle_core::Error),
}

/// What somebody asks for; what is left out comes from the file, the preset or the defaults, in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// Algorithm.
    pub algo: Option<String>,
    /// Environment id.
    pub env: Option<String>,
    /// Presets, see [`presets::configured`].
    pub preset: Option<String>,
    /// Environment steps.
    pub steps: Option<u64>,
    /// Seed.
    pub seed: Option<u64>,
    /// Device.
    pub device: Option<String>,
    /// Threads.
    pub threads: Option<usize>,
    /// Python of `gym:` environments.
    pub python: Option<String>,
    /// The text of a configuration file, complete or partial. No preset applies then.
    pub file: Option<String>,
    /// Settings `key=value` of the run or the algorithm; they override everything else.
    pub settings: Vec<String>,
}

/// The complete configuration of a new run.
///
/// The order, later wins: defaults, preset or file, fields of the request,
/// `settings`. A setting is one of the run if the run has a key of that name, else one of the algorithm; `agent.key`
/// always means the algorithm's.
///
/// # Errors
/// An unknown algorithm, environment or key (with the nearest names), a wrong type, text that is not TOML.
pub fn configure(request: &Request) -> Result<RunConfig, ComposeError> {
    let mut config = match &request.file {
        Some(text) => RunConfig::from_toml(text)?,
        None => preset(request)?,
    };
    request.algo.clone_into_some(&mut config.algo);
    request.env.clone_into_some(&mut config.env);
    adjust(config, request)
}

/// The configuration of a run that goes on, with the fields and settings of `request`. Its algorithm and environment stay.
///
/// # Errors
/// As [`configure`].
pub fn reconfigure(config: RunConfig, request: &Request) -> Result<RunConfig, ComposeError> {
    adjust(config, request)
}

/// Takes over what a request names.
trait CloneIntoSome<T> {
    fn clone_into_some(&self, target: &mut T);
}

impl<T: Clone> CloneIntoSome<T> for Option<T> {
    fn clone_into_some(&self, target: &mut T) {
        if let Some(value) = self {
            target.clone_from(value);
        }
    }
}

fn preset(request: &Request) -> Result<RunConfig, ConfigError> {
    let algo = request.algo.as_deref().unwrap_or(presets::DEMO_ALGO);
    let env = request.env.as_deref().unwrap_or(presets::DEMO_ENV);
    let config = presets::configured(algo, env, request.preset.as_deref())?;
    Ok(RunConfig {
        algo: algo.into(),
        env: env.into(),
        ..config
    })
}

/// Fields and settings of the request, then the algorithm's own defaults.
fn adjust(mut config: RunConfig, request: &Request) -> Result<RunConfig, ComposeError> {
    EnvSource::of(&config).check_known()?;
    request.steps.clone_into_some(&mut config.steps);
    request.seed.clone_into_some(&mut config.seed);
    request.device.clone_into_some(&mut config.device);
    request.threads.clone_into_some(&mut config.threads);
    request.python.clone_into_some(&mut config.python);
    let defaults = registry::default_config(&config.algo)?;
    let (of_run, of_agent) = split_settings(&request.settings, &defaults)?;
    config = override_run(config, &of_run)?;
    config.agent = configure_agent(&config.algo, &config.agent, &of_agent)?;
    Ok(config)
}

/// The complete configuration of an algorithm: its defaults, changed by `given`, then by `settings` (`key=value`).
///
/// # Errors
/// An unknown algorithm or key (with the nearest names), a value of another type.
pub fn configure_agent(
    algo: &str,
    given: &Table,
    settings: &[String],
) -> Result<Table, ComposeError> {
    let mut table = registry::default_config(algo)?;
    let given: Vec<String> = given
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    apply_overrides(&mut table, &given)?;
    apply_overrides(&mut table, settings)?;
    Ok(table)
}

/// Settings of the run and settings of the algorithm.
fn split_settings(
    settings: &[String],
    agent: &Table,
) -> Result<(Vec<String>, Vec<String>), ConfigError> {
    let run = run_table(&RunConfig::default())?;
    let (mut of_run, mut of_agent) = (Vec::new(), Vec::new());
    for text in settings {
        let (path, _) = text
            .split_once('=')
            .ok_or_else(|| ConfigError::NoEquals { text: text.clone() })?;
        let key = path.trim().split('.').next().unwrap_or_default();
        match text.trim_start().strip_prefix("agent.") {
            Some(inner) => of_agent.push(inner.to_owned()),
            None if run.contains_key(key) => of_run.push(text.clone()),
            None if agent.contains_key(key) => of_agent.push(text.clone()),
            None => return Err(unknown_key(path.trim(), &run, agent)),
        }
    }
    Ok((of_run, of_agent))
}

fn unknown_key(key: &str, run: &Table, agent: &Table) -> ConfigError {
    let known = run.keys().chain(agent.keys()).map(String::as_str);
    ConfigError::UnknownKey {
        key: key.to_owned(),
        nearest: nearest_names(key, known),
    }
}

/// The keys of a run without those of its agent.
fn run_table(config: &RunConfig) -> Result<Table, ConfigError> {
    let mut table: Table = config
        .to_toml()?
        .parse()
        .map_err(|e: toml::de::Error| ConfigError::Syntax(e.to_string()))?;
    table.remove("agent");
    Ok(table)
}

fn override_run(config: RunConfig, settings: &[String]) -> Result<RunConfig, ConfigError> {
    let mut table = run_table(&config)?;
    apply_overrides(&mut table, settings)?;
    Ok(RunConfig {
        agent: config.agent,
        ..RunConfig::from_toml(&table.to_string())?
    })
}

/// The agent of a configuration, untrained.
///
/// # Errors
/// What the algorithm or its environment reports.
pub fn agent(config: &RunConfig, device: &Device) -> Result<Box<dyn Agent>, ComposeError> {
    let spec = EnvSource::of(config).make()?.spec().clone();
    Ok(registry::make(
        &config.algo,
        &config.agent,
        &spec,
        config.seed,
        device,
    )?)
}

/// A copy of the agent that does not choose among candidates (every setting that ends in `best_of` is 1): each of its actions is one
/// sample of the policy.
///
/// # Errors
/// What the algorithm reports.
pub fn sampler(
    config: &RunConfig,
    agent: &dyn Agent,
    device: &Device,
) -> Result<Box<dyn Agent>, ComposeError> {
    let mut config = config.clone();
    let counts = config.agent.iter_mut();
    counts
        .filter(|(key, _)| chooses(key))
        .for_each(|(_, count)| *count = 1.into());
    let mut state = StateDict::new();
    agent.save(&mut state).map_err(TrainError::State)?;
    let mut sampler = self::agent(&config, device)?;
    sampler.load(&state).map_err(TrainError::State)?;
    Ok(sampler)
}

/// [`sampler`], or `None` for an algorithm that does not choose among candidates.
///
/// # Errors
/// What the algorithm reports.
pub fn unranked(
    config: &RunConfig,
    agent: &dyn Agent,
    device: &Device,
) -> Result<Option<Box<dyn Agent>>, ComposeError> {
    let any = config.agent.keys().any(|key| chooses(key));
    any.then(|| sampler(config, agent, device)).transpose()
}

/// Whether a setting is a number of candidates to choose from.
fn chooses(key: &str) -> bool {
    key.ends_with("best_of")
}

/// Creates the run directory `out/<algo>-<env>-s<seed>` and prepares the run; one that cannot begin leaves no run behind.
///
/// # Errors
/// [`RunError::Exists`] where there is a run already, and what the parts report.
pub fn start(out: &Path, config: RunConfig) -> Result<Trainer, ComposeError> {
    let device = device::open_for(&config)?;
    let agent = agent(&config, &device)?;
    let make_env = EnvSource::of(&config).factory();
    let dir = RunDir::create(out, config)?;
    let path = dir.path().to_owned();
    let begun = Trainer::new(dir, agent, make_env, device);
    if begun.is_err() {
        // the reason why it cannot begin is the error to report
        let _ = run_dir::withdraw(&path);
    }
    Ok(begun?)
}

/// Prepares a run to go on: from the checkpoint at `step`, or from the newest.
///
/// # Errors
/// No run, a damaged checkpoint, a request that would make it another run.
pub fn resume(run: &Path, request: &Request, step: Option<u64>) -> Result<Trainer, ComposeError> {
    let mut dir = RunDir::open(run)?;
    let config = reconfigure(dir.config().clone(), request)?;
    if config != *dir.config() {
        // a run that cannot go on keeps its configuration
        verify(run, step)?;
        dir.reconfigure(config)?;
    }
    let config = dir.config();
    let device = device::open_for(config)?;
    let (agent, make_env) = (agent(config, &device)?, EnvSource::of(config).factory());
    Ok(match step {
        Some(step) => Trainer::from_checkpoint(dir, agent, make_env, device, step)?,
        None => Trainer::new(dir, agent, make_env, device)?,
    })
}

/// Verifies the checkpoint at `step`, or the newest, if there is one.
fn verify(run: &Path, step: Option<u64>) -> Result<(), RunError> {
    match step.or(checkpoint::steps(run)?.last().copied()) {
        Some(step) => checkpoint::verify(run, step).map(drop),
        None => Ok(()),
    }
}

/// An agent as a checkpoint has it, to be evaluated.
pub struct Trained {
    /// The run's configuration.
    pub config: RunConfig,
    /// The agent.
    pub agent: Box<dyn Agent>,
    /// Where it computes.
    pub device: Device,
    /// Environment steps at the checkpoint.
    pub env_steps: u64,
}

/// Reads the agent of a run from the checkpoint at `step`, or from the newest; the run may be going on.
///
/// # Errors
/// No run, no such checkpoint, a damaged one.
pub fn load(run: &Path, device: &str, step: Option<u64>) -> Result<Trained, ComposeError> {
    let config = run_dir::read_config(run)?;
    let device = device::open(device)?;
    let (manifest, state) = checkpoint::load_agent(run, step)?;
    let mut agent = agent(&config, &device)?;
    let path = checkpoint::dir(run, manifest.env_steps).join(checkpoint::AGENT_FILE);
    agent
        .load(&state)
        .map_err(|source| RunError::State { path, source })?;
    Ok(Trained {
        config,
        agent,
        device,
        env_steps: manifest.env_steps,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(settings: &[&str]) -> Request {
        Request {
            settings: settings.iter().map(ToString::to_string).collect(),
            ..Request::default()
        }
    }

    #[test]
    fn nothing_asked_for_is_the_demo_and_it_is_complete() {
        let config = configure(&request(&[])).unwrap();
        assert_eq!(
            (config.algo.as_str(), config.env.as_str()),
            (presets::DEMO_ALGO, presets::DEMO_ENV)
        );
        assert!(config.steps < 100_000, "{} steps are no demo", config.steps);
        let keys = |table: &Table| table.keys().cloned().collect::<Vec<_>>();
        assert_eq!(
            keys(&config.agent),
            keys(&registry::default_config("flame-m").unwrap())
        );
        let again = configure(&Request {
            file: Some(config.to_toml().unwrap()),
            ..Request::default()
        });
        assert_eq!(again.unwrap(), config);
    }

    #[test]
    fn settings_override_fields_override_files() {
        let file = "algo = \"sac\"\nenv = \"Pendulum-v1\"\nseed = 1\nsteps = 10\n[agent]\ngamma = 0.5\nema_tau = 1";
        let asked = Request {
            seed: Some(2),
            file: Some(file.into()),
            ..request(&["steps=30", "agent.gamma=0.75"])
        };
        let config = configure(&asked).unwrap();
        assert_eq!(
            (config.seed, config.steps, config.algo.as_str()),
            (2, 30, "sac")
        );
        assert_eq!(
            (
                config.agent["gamma"].as_float(),
                config.agent["ema_tau"].as_float()
            ),
            (Some(0.75), Some(1.0))
        );
    }

    #[test]
    fn an_unranked_agent_has_the_parameters_of_the_ranked_one() {
        let mut config = configure(&request(&["hidden=[8]", "best_of=4"])).unwrap();
        let ranked = agent(&config, &Device::Cpu).unwrap();
        let sampler = unranked(&config, ranked.as_ref(), &Device::Cpu)
            .unwrap()
            .unwrap();
        assert_eq!(
            sampler.parameter_hash().unwrap(),
            ranked.parameter_hash().unwrap()
        );
        assert_eq!(sampler.config_toml()["best_of"].as_integer(), Some(1));
        config.algo = "sac".into();
        config.agent = configure_agent("sac", &Table::new(), &[]).unwrap();
        let plain = agent(&config, &Device::Cpu).unwrap();
        assert!(
            unranked(&config, plain.as_ref(), &Device::Cpu)
                .unwrap()
                .is_none()
        );
    }
}
