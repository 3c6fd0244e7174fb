//! The packages that people use today.

use super::Cli;
use advect_benches::python::Peers;
use serde::Serialize;

/// Measures the peers; its head describes the lines.
pub const SCRIPT: &str = "env_peers.py";

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

#[derive(Serialize)]
struct Request<'a> {
    peer: Peer,
    id: &'a str,
    envs: usize,
    threads: usize,
    seconds: f64,
}

impl Peer {
    /// In the order of the table.
    pub const ALL: [Self; 3] = [Self::Gymnasium, Self::Envpool, Self::EnvpoolAsync];

    /// Steps per second, or `None` where the peer does not have the environment.
    pub fn rate(self, peers: &mut Peers, id: &str, cli: &Cli) -> anyhow::Result<Option<f64>> {
        let request = Request {
            peer: self,
            id,
            envs: cli.envs,
            threads: cli.threads,
            seconds: cli.seconds,
        };
        let answer = peers.ask(&request)?;
        Ok(answer
            .inspect_err(|why| eprintln!("  {self:?}: {why}"))
            .ok())
    }
}
