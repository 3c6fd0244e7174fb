//! This program, started again.

use anyhow::{Context, bail};
use std::process::Command;

/// Runs one command as a process of its own, so that it can be repeated by hand and goes on after an interrupt.
pub fn step(words: &[String]) -> anyhow::Result<()> {
    eprintln!("advect {}", words.join(" "));
    let program = std::env::current_exe().context("cannot find this program's file")?;
    let status = Command::new(program)
        .args(words)
        .status()
        .context("cannot start this program again")?;
    if status.success() {
        return Ok(());
    }
    bail!("`advect {}` ended with {status}", words.join(" "))
}

/// The words of a command.
pub fn words(text: &str) -> Vec<String> {
    text.split(' ').map(str::to_owned).collect()
}
