//! Where the MuJoCo library and the model files are.

use std::env;
use std::path::{Path, PathBuf};

use super::dl::Api;
use crate::EnvError;

/// The library's file name in the wheel.
const FILE: &str = "libmujoco.so.3.17.0";

/// The folders of Gymnasium-Robotics' models, with the meshes and textures that they name by relative paths.
const ROBOTICS: [&str; 7] = [
    "adroit_hand",
    "fetch",
    "hand",
    "kitchen_franka",
    "point",
    "stls",
    "textures",
];

/// A MuJoCo library with the model files of the Gymnasium tasks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Installation {
    /// The library file.
    pub library: PathBuf,
    /// The folder of the Gymnasium model files.
    pub models: PathBuf,
    /// The folder of the Gymnasium-Robotics model files. It may be missing: only its own tasks need it.
    pub robotics: PathBuf,
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
        let found = Self::named_by(environment)?;
        found.check()?;
        Ok(found)
    }

    /// Opens the library, checks its version and tests it.
    ///
    /// # Errors
    /// [`EnvError::MujocoVersion`] for another version, [`EnvError::MujocoLoad`] for a file that is no
    /// MuJoCo library or has another memory layout.
    pub fn verify(&self) -> Result<(), EnvError> {
        Api::open(&self.library).map(|_| ())
    }

    /// Where the variables point to.
    fn named_by(variable: impl Fn(&str) -> Option<PathBuf>) -> Result<Self, EnvError> {
        let mut named = Self::at(&root_named_by(&variable)?);
        match variable("MUJOCO_LIB") {
            Some(folder) if folder.is_dir() => named.library = folder.join(FILE),
            Some(file) => named.library = file,
            None => {}
        }
        Ok(named)
    }

    /// What `root` holds, wherever the environment variables point.
    pub(super) fn at(root: &Path) -> Self {
        Self {
            library: root.join("lib").join(FILE),
            models: root.join("models/gymnasium"),
            robotics: root.join("models/gymnasium_robotics"),
        }
    }

    /// A model file of Gymnasium-Robotics.
    ///
    /// # Errors
    /// [`EnvError::MujocoUnavailable`] if it is not there.
    pub(super) fn robotics_file(&self, name: &str) -> Result<PathBuf, EnvError> {
        let path = self.robotics.join(name);
        if path.is_file() {
            return Ok(path);
        }
        Err(missing(vec![path]))
    }

    /// Checks that the library and Gymnasium's models exist.
    pub(super) fn check(&self) -> Result<(), EnvError> {
        if self.library.is_file() && self.models.is_dir() {
            return Ok(());
        }
        Err(missing(vec![self.library.clone(), self.models.clone()]))
    }

    /// Checks that all that is provisioned exists.
    pub(super) fn check_all(&self) -> Result<(), EnvError> {
        self.check()?;
        let mut folders = ROBOTICS
            .map(|folder| self.robotics.join(folder))
            .into_iter();
        match folders.find(|folder| !folder.is_dir()) {
            None => Ok(()),
            Some(folder) => Err(missing(vec![folder])),
        }
    }
}

fn missing(searched: Vec<PathBuf>) -> EnvError {
    EnvError::MujocoUnavailable {
        searched,
        hint: "run: cargo xtask setup mujoco".to_owned(),
    }
}

/// Where MuJoCo is looked for and installed: `$ADVECT_MUJOCO`, else `advect/mujoco-3.17.0` in
/// `$XDG_CACHE_HOME` or `~/.cache`.
///
/// # Errors
/// [`EnvError::MujocoUnavailable`] if none of these variables nor `$HOME` is set.
pub fn root() -> Result<PathBuf, EnvError> {
    root_named_by(environment)
}

fn root_named_by(variable: impl Fn(&str) -> Option<PathBuf>) -> Result<PathBuf, EnvError> {
    if let Some(root) = variable("ADVECT_MUJOCO") {
        return Ok(root);
    }
    cache_named_by(variable)
        .map(|cache| cache.join("mujoco-3.17.0"))
        .ok_or_else(|| EnvError::MujocoUnavailable {
            searched: Vec::new(),
            hint: "set HOME, XDG_CACHE_HOME or ADVECT_MUJOCO".to_owned(),
        })
}

/// Where what is downloaded lies: `advect` in `$XDG_CACHE_HOME` or `~/.cache`; nothing where neither variable is set.
pub fn cache() -> Option<PathBuf> {
    cache_named_by(environment)
}

fn cache_named_by(variable: impl Fn(&str) -> Option<PathBuf>) -> Option<PathBuf> {
    variable("XDG_CACHE_HOME")
        .or_else(|| Some(variable("HOME")?.join(".cache")))
        .map(|cache| cache.join("advect"))
}

/// An environment variable that is set and not empty.
fn environment(variable: &str) -> Option<PathBuf> {
    env::var_os(variable)
        .filter(|value| !value.is_empty())
        .map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn named(variables: &[(&str, &str)]) -> Result<Installation, EnvError> {
        Installation::named_by(|name| {
            let found = variables.iter().find(|(variable, _)| *variable == name);
            found.map(|(_, value)| PathBuf::from(value))
        })
    }

    #[test]
    fn variables_are_read_in_the_documented_order() {
        let library = |variables: &[(&str, &str)]| named(variables).map(|found| found.library);
        let home = ("HOME", "/h");
        let cache = ("XDG_CACHE_HOME", "/c");
        let root = ("ADVECT_MUJOCO", "/m");
        let file = ("MUJOCO_LIB", "/l/mine.so");
        let in_home = "/h/.cache/advect/mujoco-3.17.0/lib/libmujoco.so.3.17.0";
        assert_eq!(library(&[home]), Ok(in_home.into()));
        let in_cache = "/c/advect/mujoco-3.17.0/lib/libmujoco.so.3.17.0";
        assert_eq!(library(&[home, cache]), Ok(in_cache.into()));
        let in_root = "/m/lib/libmujoco.so.3.17.0";
        assert_eq!(library(&[home, cache, root]), Ok(in_root.into()));
        let all = named(&[home, cache, root, file]);
        let expected = Installation {
            library: "/l/mine.so".into(),
            models: "/m/models/gymnasium".into(),
            robotics: "/m/models/gymnasium_robotics".into(),
        };
        assert_eq!(all, Ok(expected));
        assert!(matches!(
            named(&[]),
            Err(EnvError::MujocoUnavailable { .. })
        ));
    }

    #[test]
    fn an_installation_without_the_robots_is_usable_but_not_complete() {
        let folder = tempfile::tempdir().unwrap();
        let found = Installation::at(folder.path());
        std::fs::create_dir_all(&found.models).unwrap();
        std::fs::create_dir_all(folder.path().join("lib")).unwrap();
        std::fs::write(&found.library, "").unwrap();
        assert_eq!(found.check(), Ok(()));
        let error = found.check_all().unwrap_err();
        assert!(error.to_string().contains("gymnasium_robotics"), "{error}");
        let error = found.robotics_file("point/point.xml").unwrap_err();
        assert!(error.to_string().contains("point.xml"), "{error}");
        for folder in ROBOTICS {
            let error = found.check_all().unwrap_err().to_string();
            assert!(error.contains(folder), "{error}");
            std::fs::create_dir_all(found.robotics.join(folder)).unwrap();
        }
        assert_eq!(found.check_all(), Ok(()));
    }

    #[test]
    fn what_is_missing_is_named_with_the_command_that_mends_it() {
        let missing = Installation::at(Path::new("/nowhere")).check();
        assert_eq!(
            missing.map_err(|error| error.to_string()),
            Err(
                "MuJoCo is not here; searched: /nowhere/lib/libmujoco.so.3.17.0, \
                 /nowhere/models/gymnasium; run: cargo xtask setup mujoco"
                    .to_owned()
            )
        );
    }
}
