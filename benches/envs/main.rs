//! Steps per second of the environments, beside Gymnasium and EnvPool: `cargo xtask bench envs [--peers] [IDS]`.
//!
//! Contenders take turns, for a short time each, round after round; a figure is the median of its rounds, so a disturbance hits one
//! round of one contender and not its figure.

mod own;
mod peers;
mod report;

use advect_benches::python::Peers;
use anyhow::Context;
use clap::Parser;
use own::Own;
use peers::{Peer, SCRIPT};
use report::Row;
use std::path::PathBuf;
use std::time::Duration;

/// Environments that `bench envs` measures without IDS: one of each family.
const DEFAULT: [&str; 13] = [
    "HalfCheetah-v5",
    "Hopper-v5",
    "Walker2d-v5",
    "Ant-v5",
    "Humanoid-v5",
    "HumanoidStandup-v5",
    "Swimmer-v5",
    "Reacher-v5",
    "Pusher-v5",
    "InvertedPendulum-v5",
    "InvertedDoublePendulum-v5",
    "FrankaKitchen-v1",
    "PointMaze_Medium-v3",
];

/// What can be typed.
#[derive(Debug, Parser)]
struct Cli {
    /// Environments, see `cargo xtask envs` [default: one of each family]
    ids: Vec<String>,
    /// Measure Gymnasium's synchronous vector and EnvPool too, in a Python environment that is made on first use (1.1 GB)
    #[arg(long)]
    peers: bool,
    /// Python that makes that environment
    #[arg(long, default_value = "python3", value_name = "PATH")]
    python: PathBuf,
    /// Environments of a vector
    #[arg(long, default_value_t = 8, value_name = "N")]
    envs: usize,
    /// Threads of the second figure of advect, and of EnvPool
    #[arg(long, default_value_t = 2, value_name = "T")]
    threads: usize,
    /// Seconds of a round, for each contender
    #[arg(long, default_value_t = 1.0, value_name = "S")]
    seconds: f64,
    /// Rounds
    #[arg(long, default_value_t = 3, value_name = "R")]
    rounds: usize,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    let ids: Vec<String> = match cli.ids.as_slice() {
        [] => DEFAULT.map(str::to_owned).into(),
        given => given.to_vec(),
    };
    let start = || Peers::start(&cli.python, SCRIPT, &[]);
    let mut peers = cli.peers.then(start).transpose()?;
    let mut rows = Vec::new();
    for id in &ids {
        eprintln!("{id}");
        rows.push(measure(&cli, id, peers.as_mut())?);
    }
    let text = match cli.json {
        true => report::json(&cli, &rows)?,
        false => report::table(&cli, &rows),
    };
    println!("{text}");
    Ok(())
}

/// All rounds of one environment.
fn measure(cli: &Cli, id: &str, mut peers: Option<&mut Peers>) -> anyhow::Result<Row> {
    let mut own = [1, cli.threads]
        .map(|threads| Own::new(id, cli.envs, threads))
        .into_iter()
        .collect::<Result<Vec<_>, _>>()
        .with_context(|| format!("cannot build {id}"))?;
    let mut row = Row::new(id);
    for _ in 0..cli.rounds {
        for (own, rates) in own.iter_mut().zip(&mut row.own) {
            rates.push(own.rate(Duration::from_secs_f64(cli.seconds))?);
        }
        let Some(peers) = peers.as_deref_mut() else {
            continue;
        };
        for (peer, rates) in Peer::ALL.into_iter().zip(&mut row.peers) {
            rates.extend(peer.rate(peers, id, cli)?);
        }
    }
    Ok(row)
}
