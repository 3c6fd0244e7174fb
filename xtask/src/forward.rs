//! Tasks that are one cargo command: all arguments go through.

use std::process::Command;

use crate::cuda;
use crate::workspace::cargo;
use crate::{Error, Result};

/// `cargo build --release --workspace`; with `--cuda` the command, and the one that compares reference cases, with CUDA kernels.
pub fn build(args: &[String]) -> Result {
    match args.iter().position(|arg| arg == "--cuda") {
        None => replace(&["build", "--release", "--workspace"], args),
        Some(at) => {
            let rest = [&args[..at], &args[at + 1..]].concat();
            become_command(build_with_cuda(&rest)?)
        }
    }
}

fn build_with_cuda(args: &[String]) -> Result<Command> {
    let build = ["build", "--release", "--features", "advect/cuda"];
    let packages = ["--package", "advect", "--package", "advect-golden"];
    let mut command = cargo_command(&[&build[..], &packages].concat(), args);
    cuda::equip(&mut command)?;
    Ok(command)
}

/// `advect device-report` with the program for reference cases beside it.
pub fn device_report(args: &[String]) -> Result {
    let status = build_with_cuda(&[])?.status()?;
    if !status.success() {
        return Err(format!("cargo build ended with {status}").into());
    }
    advect_on_gpu("device-report", args)
}

/// A program of the benches with its arguments.
fn bench_program(name: &str, args: &[String]) -> Result {
    let run = ["run", "--release", "--package", "advect-benches", "--bin"];
    replace(&[&run[..], &[name, "--"]].concat(), args)
}

/// The criterion benches, one timed update (`bench update ...` is `advect bench-update ...`), the updates beside other packages
/// (`bench peers`) or the environments (`bench envs`).
pub fn bench(args: &[String]) -> Result {
    match args.split_first() {
        Some((first, rest)) if first == "update" => advect("bench-update", rest),
        Some((first, rest)) if first == "envs" => bench_program("bench-envs", rest),
        Some((first, rest)) if first == "peers" => bench_program("bench-peers", rest),
        _ => replace(&["bench", "--package", "advect-benches"], args),
    }
}

/// Compares the reference cases of a directory, on a CUDA device where it is asked for.
pub fn golden(args: &[String]) -> Result {
    let run = ["run", "--release", "--quiet", "--package", "advect-golden"];
    match args {
        [_] => replace(&[&run[..], &["--"]].concat(), args),
        [_, flag, _] if flag == "--device" && cuda::asked_for(args) => {
            let features = ["--features", "advect/cuda", "--"];
            let mut command = cargo_command(&[&run[..], &features].concat(), args);
            cuda::equip(&mut command)?;
            become_command(command)
        }
        [_, flag, _] if flag == "--device" => replace(&[&run[..], &["--"]].concat(), args),
        _ => Err("golden takes one directory: cargo xtask golden DIR [--device cuda]".into()),
    }
}

/// A verb of the `advect` command, with CUDA kernels where a CUDA device is asked for.
pub fn advect(verb: &str, args: &[String]) -> Result {
    let run = ["run", "--release", "--package", "advect", "--bin", "advect"];
    match cuda::asked_for(args) {
        true => advect_on_gpu(verb, args),
        false => replace(&[&run[..], &["--", verb]].concat(), args),
    }
}

/// A verb of the `advect` command with CUDA kernels.
pub fn advect_on_gpu(verb: &str, args: &[String]) -> Result {
    let run = ["run", "--release", "--package", "advect", "--bin", "advect"];
    let mut command = cargo_command(
        &[&run[..], &["--features", "advect/cuda", "--", verb]].concat(),
        args,
    );
    cuda::equip(&mut command)?;
    become_command(command)
}

/// Threads of Mesa's software OpenGL beside the one that draws. Environments draw on threads of their own already.
const MESA_THREADS: &str = "LP_NUM_THREADS";

/// Becomes `cargo fixed.. args..`, so that signals and the exit status are the command's own.
fn replace(fixed: &[&str], args: &[String]) -> Result {
    become_command(cargo_command(fixed, args))
}

fn cargo_command(fixed: &[&str], args: &[String]) -> Command {
    let mut command = Command::new(cargo());
    command.args(fixed).args(args);
    if std::env::var_os(MESA_THREADS).is_none() {
        command.env(MESA_THREADS, "0");
    }
    command
}

#[cfg(unix)]
fn become_command(mut command: Command) -> Result {
    use std::os::unix::process::CommandExt;
    Err(Error::from(format!(
        "cannot start cargo: {}",
        command.exec()
    )))
}

#[cfg(not(unix))]
fn become_command(mut command: Command) -> Result {
    let status = command
        .status()
        .map_err(|e| Error::from(format!("cannot start cargo: {e}")))?;
    std::process::exit(status.code().unwrap_or(1))
}
