//! Where the MuJoCo library and the model files are.

use std::env;
use std::path::{Path, PathBuf};

use crate::EnvError;

/// File name of the library in an installation.
pub(super) const LIBRARY: &str = "lib/libmujoco.so.3.17.0";
/// Folder of Gymnasium's model files in an installation.
pub(super) const MODELS: &str = "models/gymnasium";

/// A MuJoCo library with the model files of the Gymnasium tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// The library file.
    pub library: PathBuf,
    /// The folder of the Gymnasium model files.
    pub models: PathBuf,
}

impl Installation {
    /// Finds the library and the models.
    ///
    /// Both are in [`root`]; `$MUJOCO_LIB` (a file, or a folder with the library in it) replaces the library
    /// there. Nothing is opened.
    ///
    /// # Errors
    /// [`EnvError::MujocoUnavailable`] with the paths that were searched and the command that mends it.
    pub fn locate() -> Result<Self, EnvError> {
        let root = root()?;
        let library = match set_path("MUJOCO_LIB") {
            Some(folder) if folder.is_dir() => folder.join("libmujoco.so.3.17.0"),
            Some(file) => file,
            None => root.join(LIBRARY),
        };
        let found = Self {
            library,
            models: root.join(MODELS),
        };
        found.check()?;
        Ok(found)
    }

    /// What `root` holds, wherever the environment variables point.
    pub(super) fn at(root: &Path) -> Self {
        Self {
            library: root.join(LIBRARY),
            models: root.join(MODELS),
        }
    }

    /// Checks that both parts exist.
    pub(super) fn check(&self) -> Result<(), EnvError> {
        if self.library.is_file() && self.models.is_dir() {
            return Ok(());
        }
        Err(EnvError::MujocoUnavailable {
            searched: vec![self.library.clone(), self.models.clone()],
            hint: "run: cargo xtask setup mujoco".to_owned(),
        })
    }
}

/// Where MuJoCo is looked for and installed: `$ADVECT_MUJOCO`, else `advect/mujoco-3.17.0` in
/// `$XDG_CACHE_HOME` or `~/.cache`.
///
/// # Errors
/// [`EnvError::MujocoUnavailable`] if none of these variables nor `$HOME` is set.
pub fn root() -> Result<PathBuf, EnvError> {
    let cache =
        || set_path("XDG_CACHE_HOME").or_else(|| set_path("HOME").map(|h| h.join(".cache")));
    set_path("ADVECT_MUJOCO")
        .or_else(|| Some(cache()?.join("advect").join("mujoco-3.17.0")))
        .ok_or_else(|| EnvError::MujocoUnavailable {
            searched: Vec::new(),
            hint: "set HOME, XDG_CACHE_HOME or ADVECT_MUJOCO".to_owned(),
        })
}

fn set_path(variable: &str) -> Option<PathBuf> {
    env::var_os(variable)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}
