//! The packages that people use today, in one Python process that answers line by line.

use super::Cli;
use anyhow::{Context, bail};
use serde::{Deserialize, Serialize};
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

/// Measures the peers; its head describes the lines.
const SCRIPT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/env_peers.py");

/// A way to step environments in Python.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Peer {
    /// Gymnasium's synchronous vector.
    Gymnasium,
    /// EnvPool, all environments at once.
    Envpool,
    /// EnvPool, whichever environments are ready.
    EnvpoolAsync,
}

impl Peer {
    /// In the order of the table.
    pub const ALL: [Self; 3] = [Self::Gymnasium, Self::Envpool, Self::EnvpoolAsync];
}

#[derive(Serialize)]
struct Request<'a> {
    peer: Peer,
    id: &'a str,
    envs: usize,
    threads: usize,
    seconds: f64,
}

#[derive(Deserialize)]
#[serde(rename_all = "lowercase")]
enum Answer {
    Rate(f64),
    Missing(String),
}

/// The Python process.
pub struct Peers {
    child: Child,
    requests: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Peers {
    /// Starts it; on first use it makes its environment, which takes minutes.
    pub fn start(python: &Path) -> anyhow::Result<Self> {
        let mut child = Command::new(python)
            .arg(SCRIPT)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .with_context(|| format!("cannot start {} for --peers", python.display()))?;
        let (requests, answers) = (child.stdin.take(), child.stdout.take());
        let pipes = requests.zip(answers).context("the process has no pipes")?;
        Ok(Self {
            child,
            requests: pipes.0,
            answers: BufReader::new(pipes.1),
        })
    }

    /// Steps per second, or `None` where the peer does not have the environment.
    pub fn rate(&mut self, peer: Peer, id: &str, cli: &Cli) -> anyhow::Result<Option<f64>> {
        let request = Request {
            peer,
            id,
            envs: cli.envs,
            threads: cli.threads,
            seconds: cli.seconds,
        };
        let asked = writeln!(self.requests, "{}", serde_json::to_string(&request)?);
        let mut line = String::new();
        let read = asked.and_then(|()| self.answers.read_line(&mut line));
        match read {
            Ok(length) if length > 0 => match serde_json::from_str(&line)? {
                Answer::Rate(rate) => Ok(Some(rate)),
                Answer::Missing(why) => {
                    eprintln!("  {peer:?}: {why}");
                    Ok(None)
                }
            },
            _ => bail!(
                "the Python process of --peers ended; what it said: run `python3 {SCRIPT}` and type {}",
                serde_json::to_string(&request)?
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
