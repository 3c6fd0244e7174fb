//! Compiles the CUDA kernels to PTX where the feature is on.

use std::path::{Path, PathBuf};
use std::process::Command;

/// What several of them include.
const HEADERS: [&str; 2] = ["src/graph/place.cuh", "src/random/philox.cuh"];
/// The kernels' sources; each becomes a `.ptx` of its name.
const SOURCES: [&str; 16] = [
    "src/candidates/candidates.cu",
    "src/columns/columns.cu",
    "src/decline/decline.cu",
    "src/dense/dense.cu",
    "src/ensemble/ensemble.cu",
    "src/graph/graph.cu",
    "src/logdet/logdet.cu",
    "src/optim/optim.cu",
    "src/pointwise/pointwise.cu",
    "src/random/random.cu",
    "src/recursion/recursion.cu",
    "src/rows/rows.cu",
    "src/squashed/squashed.cu",
    "src/svgd/svgd.cu",
    "src/truncnorm/truncnorm.cu",
    "src/waves/waves.cu",
];

fn main() -> Result<(), String> {
    println!("cargo::rerun-if-changed=build.rs");
    if std::env::var_os("CARGO_FEATURE_CUDA").is_none() {
        return Ok(());
    }
    println!("cargo::rerun-if-env-changed=NVCC");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").unwrap_or_default());
    for header in HEADERS {
        println!("cargo::rerun-if-changed={header}");
    }
    for source in SOURCES {
        println!("cargo::rerun-if-changed={source}");
        compile(Path::new(source), &out)?;
    }
    Ok(())
}

/// PTX of compute capability 8.0 runs on that and on every later GPU.
fn compile(source: &Path, out: &Path) -> Result<(), String> {
    let nvcc = std::env::var_os("NVCC").unwrap_or_else(|| "nvcc".into());
    let ptx = out.join(source.with_extension("ptx").file_name().unwrap_or_default());
    let status = Command::new(&nvcc)
        // no fused multiply-adds that the source does not ask for: draws have the host's bits
        .args(["--ptx", "-arch=compute_80", "-O3", "-fmad=false", "-o"])
        .arg(&ptx)
        .arg(source)
        .status();
    match status {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => Err(format!(
            "{} ended with {status} on {}",
            nvcc.display(),
            source.display()
        )),
        Err(e) => Err(format!(
            "the feature `cuda` needs NVIDIA's compiler, but {} does not start: {e}\n\
             `cargo xtask setup cuda` installs it, `cargo xtask build --cuda` uses it",
            nvcc.display()
        )),
    }
}
