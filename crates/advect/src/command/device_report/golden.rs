//! The reference cases on the GPU, by the program that lies beside this one.

use std::path::Path;
use std::process::Command;

use anyhow::Context;

use super::super::print;

/// Runs the cases of a directory; the summary, or why there is none.
pub(super) fn run(dir: Option<&Path>) -> anyhow::Result<String> {
    let Some(dir) = dir else {
        let none = "no reference cases: give their directory with --golden DIR";
        print(none)?;
        return Ok(none.into());
    };
    let program = std::env::current_exe()?.with_file_name("advect-golden");
    let mut command = Command::new(&program);
    let output = command.arg(dir).args(["--device", "cuda"]).output();
    let start = || {
        format!(
            "cannot start {}; `cargo xtask device-report` builds it",
            program.display()
        )
    };
    let output = output.with_context(start)?;
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    for line in said.lines().filter(|line| !line.ends_with(" ok")) {
        print(line)?;
    }
    let problem = String::from_utf8_lossy(&output.stderr);
    let last = said.lines().last().unwrap_or(problem.trim());
    Ok(last.to_owned())
}
