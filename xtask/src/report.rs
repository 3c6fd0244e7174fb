//! Runs a command, shows its output as it comes and counts the tests in it.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};

use crate::Result;

/// Tests counted in the `test result:` lines of a command's output.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Count {
    /// Tests that passed.
    pub passed: u64,
    /// Tests that failed.
    pub failed: u64,
    /// Tests that their authors marked as ignored.
    pub ignored: u64,
}

impl Count {
    fn add_line(&mut self, line: &str) {
        let Some((_, counts)) = line.split_once("test result:") else {
            return;
        };
        for part in counts.split([';', '.']) {
            match part.trim().split_once(' ') {
                Some((n, "passed")) => self.passed += n.parse::<u64>().unwrap_or(0),
                Some((n, "failed")) => self.failed += n.parse::<u64>().unwrap_or(0),
                Some((n, "ignored")) => self.ignored += n.parse::<u64>().unwrap_or(0),
                _ => {}
            }
        }
    }
}

/// Runs a command to its end, passing its output on; whether it succeeded and what it counted.
pub fn stream(mut command: Command) -> Result<(bool, Count)> {
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let mut count = Count::default();
    let mut out = std::io::stdout().lock();
    if let Some(pipe) = child.stdout.take() {
        for line in BufReader::new(pipe).lines() {
            let line = line?;
            count.add_line(&line);
            writeln!(out, "{line}")?;
        }
    }
    Ok((child.wait()?.success(), count))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_summed_over_test_binaries() {
        let mut count = Count::default();
        let line = "test result: ok. 17 passed; 1 failed; 2 ignored; 0 measured; 0 filtered out";
        count.add_line(line);
        count.add_line("running 3 tests");
        count.add_line(line);
        assert_eq!(
            count,
            Count {
                passed: 34,
                failed: 2,
                ignored: 4
            }
        );
    }
}
