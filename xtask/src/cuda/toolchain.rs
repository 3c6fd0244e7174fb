//! NVIDIA's compiler: the machine's own, or a pinned one from the Python package index.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use advect_envs::mujoco;

use crate::{Error, Result, workspace};

/// The pinned release.
const VERSION: (u32, u32) = (13, 0);
/// Releases that candle's bindings and the drivers in use take.
const FITTING: std::ops::RangeInclusive<(u32, u32)> = (12, 0)..=(13, 0);
/// candle links these; they are opened when a device is, so that a program starts without them.
const OPENED_LATER: [&str; 5] = ["cuda", "nvrtc", "curand", "cublas", "cublasLt"];
/// The target is named so that flags for our code do not reach build scripts.
const TARGET: &str = "x86_64-unknown-linux-gnu";
/// GPUs of this compute capability and later, in tenths.
const CAPABILITY: &str = "80";

/// A compiler with its headers and the runtime library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Toolchain {
    home: PathBuf,
    version: (u32, u32),
}

impl Toolchain {
    /// The machine's own toolkit (`$CUDA_HOME`, `nvcc` on the path, `/usr/local/cuda`) if it is there and fits, else the pinned one
    /// if it is installed.
    pub fn find() -> Result<Option<Self>> {
        let own = own_homes().into_iter().filter_map(|home| Self::at(&home));
        let fitting = own
            .into_iter()
            .find(|found| FITTING.contains(&found.version));
        Ok(match fitting {
            Some(found) => Some(found),
            None => Self::at(&pinned_home()?),
        })
    }

    fn at(home: &Path) -> Option<Self> {
        let output = Command::new(home.join("bin/nvcc"))
            .arg("--version")
            .output();
        let text = String::from_utf8_lossy(&output.ok()?.stdout).into_owned();
        Some(Self {
            home: home.to_owned(),
            version: release(&text)?,
        })
    }

    /// For messages.
    pub fn describe(&self) -> String {
        let (major, minor) = self.version;
        format!("{major}.{minor} in {}", self.home.display())
    }

    /// What cargo and the build scripts below it have to know.
    pub fn variables(&self) -> Result<Vec<(&'static str, String)>> {
        let stubs = self.stubs()?;
        let (major, minor) = self.version;
        let shown = |path: &Path| path.display().to_string();
        let flags = format!(
            "--cfg feature=\"dynamic-loading\" -Lnative={}",
            shown(&stubs)
        );
        let wrapper = workspace::root().join("scripts/cuda/nvcc-needed");
        let capability = std::env::var("CUDA_COMPUTE_CAP").unwrap_or_else(|_| CAPABILITY.into());
        Ok(vec![
            ("CUDA_HOME", shown(&self.home)),
            ("ADVECT_NVCC", shown(&self.home.join("bin/nvcc"))),
            ("NVCC", shown(&wrapper)),
            ("CUDA_COMPUTE_CAP", capability),
            ("CUDARC_CUDA_VERSION", format!("{major}{minor:02}0")),
            ("CARGO_BUILD_TARGET", TARGET.to_owned()),
            ("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUSTFLAGS", flags),
        ])
    }

    /// A folder that satisfies the linker: nothing for what is opened later, the static runtime for what is called.
    fn stubs(&self) -> Result<PathBuf> {
        let (major, minor) = self.version;
        let folder = cache()?.join(format!("cuda-link-{major}.{minor}"));
        fs::create_dir_all(&folder)?;
        for name in OPENED_LATER {
            fs::write(folder.join(format!("lib{name}.so")), "INPUT()\n")?;
        }
        let runtime = self.runtime().ok_or_else(|| {
            format!(
                "{} has no libcudart_static.a; `cargo xtask setup cuda` installs a whole one",
                self.home.display()
            )
        })?;
        let script = format!("INPUT({} -ldl -lrt -lpthread)\n", runtime.display());
        fs::write(folder.join("libcudart.so"), script)?;
        Ok(folder)
    }

    fn runtime(&self) -> Option<PathBuf> {
        let places = ["lib", "lib64", "targets/x86_64-linux/lib"];
        let at = |place: &&str| self.home.join(place).join("libcudart_static.a");
        places.iter().map(at).find(|path| path.exists())
    }
}

/// The release in what `nvcc --version` prints.
fn release(text: &str) -> Option<(u32, u32)> {
    let (_, rest) = text.split_once("release ")?;
    let (major, rest) = rest.split_once('.')?;
    let digits = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    Some((major.parse().ok()?, rest[..digits].parse().ok()?))
}

fn own_homes() -> Vec<PathBuf> {
    let on_path = std::env::var_os("PATH").unwrap_or_default();
    let found = std::env::split_paths(&on_path).find(|dir| dir.join("nvcc").exists());
    let of_path = found.and_then(|bin| bin.parent().map(Path::to_owned));
    let named = std::env::var_os("CUDA_HOME").map(PathBuf::from);
    let usual = PathBuf::from("/usr/local/cuda");
    named.into_iter().chain(of_path).chain([usual]).collect()
}

fn cache() -> Result<PathBuf> {
    let unset = || Error::from("set HOME or XDG_CACHE_HOME: the compiler is kept there");
    mujoco::cache().ok_or_else(unset)
}

fn pinned_root() -> Result<PathBuf> {
    Ok(cache()?.join(format!("cuda-{}.{}", VERSION.0, VERSION.1)))
}

fn pinned_home() -> Result<PathBuf> {
    Ok(pinned_root()?.join("nvidia/cu13"))
}

/// Installs the pinned compiler: five packages (104 MB, hashes checked) into the user's cache.
pub fn provision() -> Result<Toolchain> {
    if let Some(found) = Toolchain::at(&pinned_home()?) {
        return Ok(found);
    }
    let root = pinned_root()?;
    let beside = root.with_extension(format!("new-{}", std::process::id()));
    eprintln!("setup cuda: downloading NVIDIA's compiler 13.0 with pip (104 MB, hashes checked)");
    let fetched = download(&beside);
    if fetched.is_err() {
        let _ = fs::remove_dir_all(&beside);
    }
    fetched?;
    let _ = fs::remove_dir_all(&root);
    fs::rename(&beside, &root)?;
    Toolchain::at(&pinned_home()?)
        .ok_or_else(|| format!("the compiler in {} does not run", root.display()).into())
}

fn download(into: &Path) -> Result {
    let python = std::env::var_os("PYTHON").unwrap_or_else(|| "python3".into());
    let mut pip = Command::new(&python);
    pip.args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--disable-pip-version-check",
    ]);
    pip.args([
        "--no-deps",
        "--no-compile",
        "--only-binary=:all:",
        "--require-hashes",
    ]);
    pip.arg("--target").arg(into);
    pip.arg("-r")
        .arg(workspace::root().join("scripts/cuda/requirements.txt"));
    match pip.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!("setup cuda: pip ended with {status}").into()),
        Err(e) => Err(format!(
            "setup cuda: {} does not start ({e}); install Python 3 with pip, or set PYTHON",
            python.display()
        )
        .into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_are_read() {
        let text = "Cuda compilation tools, release 12.4, V12.4.131\nBuild cuda_12.4";
        assert_eq!(release(text), Some((12, 4)));
        assert_eq!(release("nothing"), None);
        assert!(FITTING.contains(&(12, 4)) && FITTING.contains(&VERSION));
        assert!(!FITTING.contains(&(11, 8)) && !FITTING.contains(&(13, 1)));
    }
}
