//! The packages that people use today.

use super::Cli;
use advect::rl::Agent;
use advect_benches::python::Peers;
use anyhow::Context;
use serde::Serialize;
use std::path::Path;

/// Measures the peers; its head describes the lines.
const SCRIPT: &str = "update_peers.py";

/// A package with algorithms of ours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Package {
    /// Stable-Baselines3, PyTorch.
    Sb3,
    /// SBX, JAX.
    Sbx,
}

impl Package {
    /// In the order of the table.
    pub const ALL: [Self; 2] = [Self::Sb3, Self::Sbx];
}

/// An algorithm of ours and its name in the packages, if they have it.
#[derive(Debug, Clone, Copy)]
pub struct Contest {
    pub algo: &'static str,
    peer: Option<&'static str>,
}

/// What `bench peers` runs without ALGO.
pub const CONTESTS: &[Contest] = &[
    Contest {
        algo: "sac",
        peer: Some("sac"),
    },
    Contest {
        algo: "td3",
        peer: Some("td3"),
    },
    Contest::alone("fmer"),
    Contest::alone("qvpo"),
    Contest::alone("dpmd"),
    Contest::alone("flame-m"),
];

#[derive(Serialize)]
struct Request<'a> {
    package: Package,
    algo: &'a str,
    obs_dim: usize,
    act_dim: usize,
    hidden: &'a [i64],
    updates: u32,
}

impl Contest {
    /// An algorithm that the packages do not have.
    pub const fn alone(algo: &'static str) -> Self {
        Self { algo, peer: None }
    }

    /// Seconds per update of a package, or `None` where it does not have the algorithm.
    pub fn seconds(
        &self,
        package: Package,
        peers: &mut Peers,
        cli: &Cli,
        hidden: &[i64],
    ) -> anyhow::Result<Option<f64>> {
        let Some(algo) = self.peer else {
            return Ok(None);
        };
        let answer = peers.ask(&Request {
            package,
            algo,
            obs_dim: cli.obs_dim,
            act_dim: cli.act_dim,
            hidden,
            updates: cli.updates.next_multiple_of(2),
        })?;
        Ok(answer
            .inspect_err(|why| eprintln!("  {package:?}: {why}"))
            .ok())
    }
}

/// Hidden widths of an agent, which its peers get too.
pub fn widths(agent: &dyn Agent) -> Vec<i64> {
    let config = agent.config_toml();
    let hidden = config.get("hidden").and_then(|value| value.as_array());
    let widths = hidden.into_iter().flatten();
    widths.filter_map(|width| width.as_integer()).collect()
}

/// Starts the peers, if their environment is there.
pub fn start(python: &Path, threads: usize) -> anyhow::Result<Peers> {
    let args = ["--threads".to_owned(), threads.to_string()];
    let mut peers = Peers::start(python, SCRIPT, &args)?;
    let ready = peers.ask(&"ready?").context(
        "their packages are not installed; `cargo xtask setup peers` does it (several GB)",
    )?;
    ready.map(|_| peers).map_err(anyhow::Error::msg)
}
