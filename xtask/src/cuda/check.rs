//! `cargo xtask cuda-check`: kernels, algorithms and the command on CUDA's code paths, on the stand-in where there is no GPU.

use std::path::Path;
use std::process::Command;

use super::{equip, standin};
use crate::report::{self, Count};
use crate::{Result, workspace};

/// Compiles everything with CUDA and runs its tests: on the stand-in, or on the machine's GPU with `--device`.
pub fn run(args: &[String]) -> Result {
    let count = match args {
        [] => on_standin()?,
        [flag] if flag == "--device" => tests(None)?,
        _ => return Err("cuda-check takes no argument but --device".into()),
    };
    println!("{} passed, 0 failed", count.passed);
    Ok(())
}

/// The tests on the stand-in, which also count what an update calls, and the reference cases where there are some.
pub fn on_standin() -> Result<Count> {
    let libraries = standin::build()?;
    let count = tests(Some(&libraries))?;
    if let Some(dir) = workspace::golden_dir() {
        golden(&dir, &libraries)?;
    }
    Ok(count)
}

fn golden(dir: &Path, libraries: &Path) -> Result {
    let run = ["run", "--release", "--quiet", "--features", "advect/cuda"];
    let mut command = Command::new(workspace::cargo());
    command.current_dir(workspace::root());
    command
        .args(run)
        .args(["--package", "advect-golden", "--"])
        .arg(dir)
        .args(["--device", "cuda"])
        .env("LD_LIBRARY_PATH", libraries);
    equip(&mut command)?;
    match command.status()?.success() {
        true => Ok(()),
        false => Err("reference cases failed on the stand-in".into()),
    }
}

fn tests(libraries: Option<&Path>) -> Result<Count> {
    // the packages and features of the command, so that candle compiles once
    let test = [
        "test",
        "--release",
        "--features",
        "advect/cuda",
        "--test",
        "cuda",
    ];
    let packages = ["advect", "advect-kernels", "advect-algos"].map(|name| ["--package", name]);
    let mut command = Command::new(workspace::cargo());
    command.current_dir(workspace::root());
    command
        .args(test)
        .args(packages.concat())
        .args(["--", "--nocapture"]);
    equip(&mut command)?;
    if let Some(libraries) = libraries {
        command.env("LD_LIBRARY_PATH", libraries);
        command.env("ADVECT_CUDA_STANDIN", libraries);
    }
    match report::stream(command)? {
        (true, count) if count.passed > 0 => Ok(count),
        (_, count) => Err(format!("CUDA: {} passed, {} failed", count.passed, count.failed).into()),
    }
}
