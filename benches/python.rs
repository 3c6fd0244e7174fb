//! A Python process that measures the packages that people use today, and answers line by line.

use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    Value(f64),
    Missing(String),
}

/// The process of one of the scripts in `scripts/`; their heads describe the lines.
pub struct Peers {
    script: PathBuf,
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Peers {
    /// Starts `python` on a script; on first use the script makes an environment of its own, which takes minutes.
    ///
    /// # Errors
    /// If there is no such program.
    pub fn start(python: &Path, script: &str, args: &[String]) -> anyhow::Result<Self> {
        let scripts = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts");
        let script = Path::new(scripts).join(script);
        let mut child = Command::new(python)
            .arg(&script)
            .args(args)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {}", python.display()))?;
        let (requests, answers) = (child.stdin.take(), child.stdout.take());
        let pipes = requests.zip(answers).context("the process has no pipes")?;
        Ok(Self {
            script,
            child,
            requests: pipes.0,
            answers: BufReader::new(pipes.1),
        })
    }

    /// The measured value, or why the peer cannot do it.
    ///
    /// # Errors
    /// If the process has ended or does not keep to the protocol.
    pub fn ask(&mut self, request: &impl Serialize) -> anyhow::Result<Result<f64, String>> {
        let request = serde_json::to_string(request)?;
        let asked = writeln!(self.requests, "{request}");
        let mut line = String::new();
        let read = asked.and_then(|()| self.answers.read_line(&mut line));
        match read {
            Ok(length) if length > 0 => Ok(match serde_json::from_str(&line)? {
                Answer::Value(value) => Ok(value),
                Answer::Missing(why) => Err(why),
            }),
            _ => bail!(
                "the Python process ended; what it said: run `python3 {}` and type {request}",
                self.script.display()
            ),
        }
    }
}

impl Drop for Peers {
    fn drop(&mut self) {
        // it may have ended already
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
