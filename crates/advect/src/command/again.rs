//! This program, started again.

use anyhow::{Context, bail};
use rustix::process::{Pid, Signal, kill_process};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::process::{Child, Command, ExitStatus};

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
    let child = Command::new(program)
        .args(words)
        .spawn()
        .context("cannot start this program again")?;
    let status = relayed(child)?;
    if status.success() {
        return Ok(());
    }
    if status.code() == Some(INTERRUPTED.into()) {
        return Err(Interrupted { line }.into());
    }
    bail!("`advect {line}` ended with {status}")
}

/// Waits for the process and passes interrupts on to it, so that it saves before both end.
fn relayed(mut child: Child) -> anyhow::Result<ExitStatus> {
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("cannot handle interrupts")?;
    let (handle, pid) = (signals.handle(), Pid::from_child(&child));
    let relay = std::thread::spawn(move || {
        for _ in signals.forever() {
            // a process that has just ended needs no signal
            let _ = kill_process(pid, Signal::TERM);
        }
    });
    let status = child.wait().context("cannot wait for the command");
    handle.close();
    let _ = relay.join();
    status
}

/// The words of a command.
pub fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}
