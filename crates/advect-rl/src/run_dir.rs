//! Run directories `runs/<algo>-<env>-s<seed>/`: configuration, logs, checkpoints, replay; one writer at a time.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use crate::checkpoint;
use crate::config::RunConfig;
use crate::error::RunError;
use crate::storage::{Disk, Storage, create_dir, publish, write_durable};

/// Name of the configuration file.
pub const CONFIG_FILE: &str = "config.toml";
const LOCK_FILE: &str = ".lock";

/// A run directory that this process writes to.
pub struct RunDir {
    path: PathBuf,
    config: RunConfig,
    storage: Box<dyn Storage>,
    /// Held, never read: the lock goes with it, also when the process is killed.
    _lock: File,
}

impl RunDir {
    /// Creates the run directory of `config` under `out`.
    ///
    /// # Errors
    /// [`RunError::Exists`] if it holds a run already, or what the system reports.
    pub fn create(out: &Path, config: RunConfig) -> Result<Self, RunError> {
        Self::create_with(out, config, Box::new(Disk))
    }

    /// As [`RunDir::create`], with the storage given.
    ///
    /// # Errors
    /// As [`RunDir::create`].
    pub fn create_with(
        out: &Path,
        config: RunConfig,
        storage: Box<dyn Storage>,
    ) -> Result<Self, RunError> {
        let path = out.join(config.run_name());
        if path.join(CONFIG_FILE).exists() {
            return Err(RunError::Exists { path });
        }
        create_dir(&path)?;
        let lock = lock(&path)?;
        write_config(storage.as_ref(), &path, &config)?;
        checkpoint::remove_leftovers(&path)?;
        Ok(Self {
            path,
            config,
            storage,
            _lock: lock,
        })
    }

    /// Opens an existing run directory for writing and removes what an interrupted save left.
    ///
    /// # Errors
    /// [`RunError::NoRun`], [`RunError::InUse`], or what is wrong with its configuration.
    pub fn open(path: &Path) -> Result<Self, RunError> {
        Self::open_with(path, Box::new(Disk))
    }

    /// As [`RunDir::open`], with the storage given.
    ///
    /// # Errors
    /// As [`RunDir::open`].
    pub fn open_with(path: &Path, storage: Box<dyn Storage>) -> Result<Self, RunError> {
        let config = read_config(path)?;
        let lock = lock(path)?;
        checkpoint::remove_leftovers(path)?;
        Ok(Self {
            path: path.to_owned(),
            config,
            storage,
            _lock: lock,
        })
    }

    /// Changes how long the run is, how often it logs, evaluates and saves, and where it computes; the new configuration
    /// is written.
    ///
    /// # Errors
    /// [`RunError::OtherConfig`] if algorithm, environment, seed or agent configuration would change.
    pub fn reconfigure(&mut self, config: RunConfig) -> Result<(), RunError> {
        check_identity(
            &self.path.join(CONFIG_FILE),
            self.config.identity(),
            config.identity(),
        )?;
        write_config(self.storage.as_ref(), &self.path, &config)?;
        self.config = config;
        Ok(())
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The run's configuration.
    pub fn config(&self) -> &RunConfig {
        &self.config
    }

    /// Where files are opened for writing.
    pub fn storage(&self) -> &dyn Storage {
        self.storage.as_ref()
    }
}

/// Compares the hash that a file recorded with that of the configuration at hand.
pub(crate) fn check_identity(path: &Path, found: u32, expected: u32) -> Result<(), RunError> {
    if found == expected {
        return Ok(());
    }
    let (found, expected) = (format!("{found:08x}"), format!("{expected:08x}"));
    Err(RunError::OtherConfig {
        path: path.to_owned(),
        found,
        expected,
    })
}

/// Takes back the configuration of a run that could not begin, and its folder if nothing else is in it.
///
/// # Errors
/// What the system reports.
pub fn withdraw(path: &Path) -> Result<(), RunError> {
    let file = path.join(CONFIG_FILE);
    fs::remove_file(&file).map_err(|source| RunError::io("remove", &file, source))?;
    for name in [LOCK_FILE, checkpoint::CHECKPOINTS_DIR] {
        let left = path.join(name);
        // what cannot be removed may stay: without a configuration it is no run
        let _ = fs::remove_file(&left).or_else(|_| fs::remove_dir(&left));
    }
    let _ = fs::remove_dir(path);
    Ok(())
}

/// Reads the configuration of a run without opening it for writing.
///
/// # Errors
/// [`RunError::NoRun`], or what is wrong with the configuration.
pub fn read_config(path: &Path) -> Result<RunConfig, RunError> {
    let file = path.join(CONFIG_FILE);
    if !file.is_file() {
        return Err(RunError::NoRun {
            path: path.to_owned(),
        });
    }
    let text = fs::read_to_string(&file).map_err(|source| RunError::io("read", &file, source))?;
    RunConfig::from_toml(&text).map_err(|source| RunError::Config { path: file, source })
}

fn write_config(storage: &dyn Storage, run: &Path, config: &RunConfig) -> Result<(), RunError> {
    let (place, beside) = (run.join(CONFIG_FILE), run.join(".config.toml.tmp"));
    let text = config.to_toml().map_err(|source| RunError::Config {
        path: place.clone(),
        source,
    })?;
    write_durable(storage, &beside, text.as_bytes())?;
    publish(&beside, &place)
}

fn lock(run: &Path) -> Result<File, RunError> {
    let path = run.join(LOCK_FILE);
    let failed = |source| RunError::io("lock", &path, source);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&path)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => Err(RunError::InUse {
            path: run.to_owned(),
        }),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}
