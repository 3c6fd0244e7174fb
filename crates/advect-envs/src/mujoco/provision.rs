//! Fetching the pinned MuJoCo library and the model files of Gymnasium and Gymnasium-Robotics with pip.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs, io, process};

use super::locate::{Installation, root};
use crate::EnvError;

/// The packages with their hashes, in pip's requirements format.
const REQUIREMENTS: &str = "\
mujoco==3.17.0 --hash=sha256:d66928d86a2d1b601bbaa4dc11db50214d17d5301bb8afd84721313b67ff0874
gymnasium==1.4.0 --hash=sha256:1cb947c59e7c72d8eabb2c2274c00cd20948e69f8452a9ef4092223be24fdf0e
gymnasium-robotics==1.4.2 --hash=sha256:a1743530431cb377e6b3b956d284bc96436fc68bac1648ef205054c178e7dc4b
";

/// The wheels that the hashes belong to; the Python that runs pip may be another.
const PIP: &str = "-m pip download --quiet --disable-pip-version-check --require-hashes --no-deps \
    --only-binary=:all: --platform manylinux_2_28_x86_64 --platform any --python-version 3.11 \
    --implementation cp --abi cp311 --abi none";

const UNPACK: &str = include_str!("unpack.py");

/// Whether MuJoCo and all model files are found where [`Installation::locate`] looks.
pub fn is_provisioned() -> bool {
    Installation::locate().is_ok_and(|found| found.check_all().is_ok())
}

/// Downloads MuJoCo 3.17.0 and the model files of gymnasium 1.4.0 and gymnasium-robotics 1.4.2 into [`root`],
/// tells `progress` what it does, and returns the folder. If they are there already, it only checks that they
/// work; a folder where some of them are missing is replaced.
///
/// Needs `python3` (or `$PYTHON`) with pip, the network, and 53 MB. The packages are checked against pinned
/// SHA-256 hashes; the folder appears in one rename, complete or not at all.
///
/// # Errors
/// [`EnvError::Provision`] with the step that failed and the tool's own words; those of opening MuJoCo.
pub fn provision(progress: &mut dyn FnMut(&str)) -> Result<PathBuf, EnvError> {
    let root = root()?;
    provision_into(&root, progress)?;
    Ok(root)
}

/// As [`provision`], into the folder `root`.
///
/// # Errors
/// As [`provision`].
pub fn provision_into(root: &Path, progress: &mut dyn FnMut(&str)) -> Result<(), EnvError> {
    if Installation::at(root).check_all().is_ok() {
        Installation::at(root).verify()?;
        progress(&format!("MuJoCo 3.17.0 is in {}", root.display()));
        return Ok(());
    }
    check_platform()?;
    let parent = root.parent().unwrap_or(root);
    at("create the cache folder", fs::create_dir_all(parent))?;
    let beside = parent.join(format!("mujoco-3.17.0.part-{}", process::id()));
    let result = install(&beside, root, progress);
    let cleaned = remove_if_there(&beside);
    result?;
    at("remove the temporary folder", cleaned)?;
    progress(&format!("MuJoCo 3.17.0 is ready in {}", root.display()));
    Ok(())
}

fn check_platform() -> Result<(), EnvError> {
    if cfg!(all(
        target_os = "linux",
        target_arch = "x86_64",
        target_env = "gnu"
    )) {
        return Ok(());
    }
    Err(EnvError::Provision {
        step: "choose a package".to_owned(),
        reason: "only Linux with glibc on x86-64 is provisioned; elsewhere, set ADVECT_MUJOCO to a folder \
                 with lib/libmujoco.so.3.17.0, models/gymnasium/*.xml and models/gymnasium_robotics/"
            .to_owned(),
    })
}

/// Downloads and unpacks into `beside`, tests the library there, and moves the result to `root`.
fn install(beside: &Path, root: &Path, progress: &mut dyn FnMut(&str)) -> Result<(), EnvError> {
    let (wheels, unpacked) = (beside.join("wheels"), beside.join("unpacked"));
    at("clear the temporary folder", remove_if_there(beside))?;
    at("create the temporary folder", fs::create_dir_all(&wheels))?;
    let requirements = beside.join("requirements.txt");
    at(
        "write the requirements",
        fs::write(&requirements, REQUIREMENTS),
    )?;
    progress(
        "downloading mujoco 3.17.0, gymnasium 1.4.0 and gymnasium-robotics 1.4.2 with pip (53 MB, hashes checked)",
    );
    let pip = PIP.split_whitespace().map(OsStr::new);
    python(
        "download with pip",
        pip.chain(["-d".as_ref(), wheels.as_os_str()])
            .chain(["-r".as_ref(), requirements.as_os_str()]),
    )?;
    progress("unpacking the library, the model files and their licences");
    let paths = [wheels.as_os_str(), unpacked.as_os_str()];
    python(
        "unpack the wheels",
        [OsStr::new("-c"), UNPACK.as_ref()].into_iter().chain(paths),
    )?;
    let found = Installation::at(&unpacked);
    found.check_all()?;
    found.verify()?;
    at(
        "replace an incomplete installation",
        remove_installation(root),
    )?;
    match fs::rename(&unpacked, root) {
        // another process was faster
        Err(_) if Installation::at(root).check_all().is_ok() => Ok(()),
        renamed => at("move the folder into place", renamed),
    }
}

fn python<'a>(step: &str, args: impl IntoIterator<Item = &'a OsStr>) -> Result<(), EnvError> {
    let program = env::var_os("PYTHON").unwrap_or_else(|| "python3".into());
    run(step, &program, args)
}

fn run<'a>(
    step: &str,
    program: &OsStr,
    args: impl IntoIterator<Item = &'a OsStr>,
) -> Result<(), EnvError> {
    let failed = |reason: String| EnvError::Provision {
        step: step.to_owned(),
        reason,
    };
    let output = Command::new(program).args(args).output().map_err(|error| {
        failed(format!(
            "{} does not start ({error}); install Python 3 with pip, or set PYTHON",
            program.display()
        ))
    })?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    Err(failed(format!(
        "{} ended with {}: {}",
        program.display(),
        output.status,
        words.trim()
    )))
}

fn at<T>(step: &str, result: io::Result<T>) -> Result<T, EnvError> {
    result.map_err(|error| EnvError::Provision {
        step: step.to_owned(),
        reason: error.to_string(),
    })
}

/// Removes what [`install`] may have put there, and refuses to remove a folder with anything else in it.
fn remove_installation(root: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(root) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        entries => entries?,
    };
    for entry in entries {
        let name = entry?.file_name();
        if !["lib", "models", "licenses"]
            .iter()
            .any(|ours| name == *ours)
        {
            return Err(io::Error::other(format!(
                "{} holds other files ({}); empty it, or let ADVECT_MUJOCO name another folder",
                root.display(),
                name.display()
            )));
        }
    }
    fs::remove_dir_all(root)
}

fn remove_if_there(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        result => result,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tool_that_fails_or_is_missing_is_named() {
        let message = |program: &str, args: &[&str]| {
            let args = args.iter().map(OsStr::new);
            run("unpack the wheels", program.as_ref(), args).map_err(|error| error.to_string())
        };
        assert_eq!(message("sh", &["-c", "exit 0"]), Ok(()));
        assert_eq!(
            message("sh", &["-c", "echo no space left >&2; exit 3"]),
            Err("cannot provision MuJoCo: unpack the wheels: sh ended with exit status: 3: no space left".into())
        );
        let missing = message("no-such-python", &[]).unwrap_err();
        assert!(
            missing.contains("no-such-python does not start"),
            "{missing}"
        );
        assert!(missing.contains("install Python 3 with pip"), "{missing}");
    }

    #[test]
    fn only_an_installation_is_ever_removed() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("root");
        remove_installation(&root).unwrap();
        fs::create_dir_all(root.join("lib")).unwrap();
        remove_installation(&root).unwrap();
        assert!(!root.exists());
        fs::create_dir_all(root.join("thesis")).unwrap();
        let error = remove_installation(&root).unwrap_err();
        assert!(error.to_string().contains("thesis"), "{error}");
        assert!(root.join("thesis").exists());
    }
}
