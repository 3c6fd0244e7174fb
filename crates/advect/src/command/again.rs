//! This program, started again.

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::process::{Command, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Exit code of a program that was interrupted, by a shell's convention.
pub const INTERRUPTED: u8 = 130;

/// A step that saved and ended because of an interrupt.
#[derive(Debug, thiserror::Error)]
#[error("`advect {line}` was interrupted; the same command goes on with it")]
pub struct Interrupted {
    line: String,
}

/// Runs one command as a process of its own, so that it can be repeated by hand and goes on after an interrupt.
///
/// # Errors
/// [`Interrupted`] if it was; any other failure of the command.
pub fn step(words: &[String]) -> anyhow::Result<()> {
    let line = words.join(" ");
    eprintln!("advect {line}");
    let program = std::env::current_exe().context("cannot find this program's file")?;
    let status = relayed(Command::new(program).args(words))?;
    if status.success() {
        return Ok(());
    }
    if status.code() == Some(INTERRUPTED.into()) {
        return Err(Interrupted { line }.into());
    }
    bail!("`advect {line}` ended with {status}")
}

/// The process that interrupts are passed on to; while there is none, they end this program.
static RUNNING: Mutex<Option<Pid>> = Mutex::new(None);

fn running() -> MutexGuard<'static, Option<Pid>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs the command and passes interrupts on to it, so that it saves before both end.
fn relayed(command: &mut Command) -> anyhow::Result<ExitStatus> {
    relay_interrupts()?;
    let mut told = running();
    let mut child = command.spawn().context("cannot start this program again")?;
    *told = Some(Pid::from_child(&child));
    drop(told);
    let status = child.wait().context("cannot wait for the command");
    *running() = None;
    status
}

/// Starts the relay, once for the program.
fn relay_interrupts() -> anyhow::Result<()> {
    static STARTED: AtomicBool = AtomicBool::new(false);
    if STARTED.swap(true, Ordering::Relaxed) {
        return Ok(());
    }
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("cannot handle interrupts")?;
    std::thread::spawn(move || {
        for _ in signals.forever() {
            match *running() {
                // a process that has just ended needs no signal
                Some(pid) => drop(kill_process(pid, Signal::TERM)),
                None => std::process::exit(INTERRUPTED.into()),
            }
        }
    });
    Ok(())
}

/// The words of a command.
pub fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}
