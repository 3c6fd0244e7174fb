//! `cargo xtask cuda-check`: kernels and algorithms on CUDA's code paths, on the stand-in where there is no GPU.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::{equip, standin};
use crate::report::{self, Count};
use crate::{Result, workspace};

/// Calls that an update should do without.
const WATCHED: [&str; 7] = [
    "cuLaunchKernel",
    "cublasSgemmStridedBatched",
    "cuMemAllocAsync",
    "cuMemsetD8Async",
    "cuMemcpyDtoDAsync",
    "cuMemcpyHtoDAsync",
    "cuMemcpyDtoHAsync",
];
/// Algorithms whose calls are counted.
const COUNTED: [&str; 2] = ["sac", "flame-m"];

/// Compiles everything with CUDA and runs its tests: on the stand-in, and then counts what an update calls there, or on the machine's
/// GPU with `--device`.
pub fn run(args: &[String]) -> Result {
    let count = match args {
        [] => on_standin()?,
        [flag] if flag == "--device" => tests(None)?,
        _ => return Err("cuda-check takes no argument but --device".into()),
    };
    println!("{} passed, 0 failed", count.passed);
    Ok(())
}

/// The tests on the stand-in, and what an update calls.
pub fn on_standin() -> Result<Count> {
    let libraries = standin::build()?;
    let count = tests(Some(&libraries))?;
    calls(&libraries)?;
    Ok(count)
}

/// A cargo command with the compiler and, on the stand-in, its libraries.
fn cargo(args: &[&str], libraries: Option<&Path>) -> Result<Command> {
    let mut command = Command::new(workspace::cargo());
    command.current_dir(workspace::root()).args(args);
    equip(&mut command)?;
    if let Some(libraries) = libraries {
        command.env("LD_LIBRARY_PATH", libraries);
    }
    Ok(command)
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
    let args = [&test[..], &packages.concat()].concat();
    match report::stream(cargo(&args, libraries)?)? {
        (true, count) if count.passed > 0 => Ok(count),
        (_, count) => Err(format!("CUDA: {} passed, {} failed", count.passed, count.failed).into()),
    }
}

/// Prints the calls of one update: the difference of two runs, over the updates between them.
fn calls(libraries: &Path) -> Result {
    println!("calls of one update on the stand-in, default settings, 17 observations, 6 actions:");
    for algo in COUNTED {
        let (few, many) = (counted(algo, 2, libraries)?, counted(algo, 4, libraries)?);
        for name in WATCHED {
            let between = of(&many, name) - of(&few, name);
            println!("  {algo:<8} {name:<26} {:.1}", between as f64 / 2.0);
        }
    }
    Ok(())
}

/// The stand-in's report of so many updates.
fn counted(algo: &str, updates: u32, libraries: &Path) -> Result<String> {
    let file: PathBuf = libraries.join(format!("calls-{algo}-{updates}.json"));
    let run = [
        "run",
        "--release",
        "--quiet",
        "--package",
        "advect",
        "--features",
        "cuda",
    ];
    let verb = [
        "--bin",
        "advect",
        "--",
        "bench-update",
        "--device",
        "cuda",
        "--algo",
        algo,
    ];
    let updates = updates.to_string();
    let sizes = ["--obs-dim", "17", "--act-dim", "6", "--updates", &updates];
    let small = ["--set", "hidden=[32, 32]", "--set", "batch_size=32"];
    let args = [&run[..], &verb, &sizes, &small].concat();
    let mut command = cargo(&args, Some(libraries))?;
    let status = command
        .env("STANDIN_REPORT", &file)
        .stdout(std::process::Stdio::null())
        .status()?;
    match status.success() {
        true => Ok(fs::read_to_string(&file)?),
        false => Err(format!("bench-update of {algo} ended with {status}").into()),
    }
}

/// How often a function was called.
fn of(report: &str, name: &str) -> i64 {
    let entry = format!("\"{name}\": {{\"calls\": ");
    let rest = report.split_once(&entry).map_or("", |(_, rest)| rest);
    let digits = rest
        .find(|c: char| !c.is_ascii_digit())
        .unwrap_or(rest.len());
    rest[..digits].parse().unwrap_or(0)
}

#[cfg(test)]
mod tests_of_reports {
    use super::*;

    #[test]
    fn calls_are_read() {
        let report = r#"{"calls": {"cuCtxSynchronize": {"calls": 1, "bytes": 0}, "cuLaunchKernel": {"calls": 1344, "bytes": 0}}}"#;
        assert_eq!(of(report, "cuLaunchKernel"), 1344);
        assert_eq!(of(report, "cuMemcpyDtoHAsync"), 0);
    }
}
