//! Tasks that are one cargo command: all arguments go through.

use std::process::Command;

use crate::workspace::cargo;
use crate::{Error, Result};

/// `cargo build --release --workspace`.
pub fn build(args: &[String]) -> Result {
    replace(&["build", "--release", "--workspace"], args)
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

/// Compares the reference cases of a directory.
pub fn golden(args: &[String]) -> Result {
    let run = [
        "run",
        "--release",
        "--quiet",
        "--package",
        "advect-golden",
        "--",
    ];
    match args {
        [_] => replace(&run, args),
        _ => Err("golden takes one directory: cargo xtask golden DIR".into()),
    }
}

/// A verb of the `advect` command.
pub fn advect(verb: &str, args: &[String]) -> Result {
    replace(
        &[
            "run",
            "--release",
            "--package",
            "advect",
            "--bin",
            "advect",
            "--",
            verb,
        ],
        args,
    )
}

/// Threads of Mesa's software OpenGL beside the one that draws. Environments draw on threads of their own already.
const MESA_THREADS: &str = "LP_NUM_THREADS";

/// Becomes `cargo fixed.. args..`, so that signals and the exit status are the command's own.
fn replace(fixed: &[&str], args: &[String]) -> Result {
    let mut command = Command::new(cargo());
    command.args(fixed).args(args);
    if std::env::var_os(MESA_THREADS).is_none() {
        command.env(MESA_THREADS, "0");
    }
    become_command(command)
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
