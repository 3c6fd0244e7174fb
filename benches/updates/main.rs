//! Seconds per update of the algorithms, beside Stable-Baselines3 (PyTorch) and SBX (JAX): `cargo xtask bench peers [ALGO...]`.
//!
//! Contenders take turns, for a few updates each, round after round; a figure is the median of its rounds, and a ratio is the
//! median of the ratios within the rounds. Without Python, or before `cargo xtask setup peers`, advect runs alone.

mod peers;
mod report;

use advect::algos::{Dims, registry};
use advect::compose::configure_agent;
use advect::presets;
use advect::rl::{Agent, RunConfig};
use advect::timing::{TimingPlan, time_updates};
use advect_benches::python::Peers;
use anyhow::Context;
use candle_core::Device;
use clap::Parser;
use peers::{Contest, Package};
use report::Row;
use std::path::PathBuf;

/// What can be typed.
#[derive(Debug, Parser)]
struct Cli {
    /// Algorithms, see `cargo xtask algos` [default: those with a peer, and the generative ones]
    algos: Vec<String>,
    /// Width of the observations
    #[arg(long, default_value_t = 17, value_name = "N")]
    obs_dim: usize,
    /// Width of the actions
    #[arg(long, default_value_t = 6, value_name = "M")]
    act_dim: usize,
    /// Preset of every algorithm, see `cargo xtask presets`
    #[arg(long, default_value = "paper", value_name = "NAME")]
    preset: String,
    /// A setting of every algorithm, `key=value`; may be repeated
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// Threads of every contender
    #[arg(long, default_value_t = 2, value_name = "T")]
    threads: usize,
    /// Updates of a round, rounded up to an even number: some algorithms delay every second policy step
    #[arg(long, default_value_t = 4, value_name = "U", value_parser = clap::value_parser!(u32).range(2..))]
    updates: u32,
    /// Rounds
    #[arg(long, default_value_t = 5, value_name = "R", value_parser = clap::value_parser!(u32).range(1..))]
    rounds: u32,
    /// Python in whose private environment the peers run
    #[arg(long, default_value = "python3", value_name = "PATH")]
    python: PathBuf,
    /// Print one JSON object instead of a table
    #[arg(long)]
    json: bool,
}

fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    advect::kernels::threads::init(Some(cli.threads))?;
    let mut peers = peers::start(&cli.python, cli.threads)
        .inspect_err(|why| eprintln!("no peers, advect alone: {why:#}"))
        .ok();
    let mut rows = Vec::new();
    for contest in chosen(&cli)? {
        eprintln!("{}", contest.algo);
        rows.push(measure(&cli, &contest, peers.as_mut())?);
    }
    println!(
        "{}",
        if cli.json {
            report::json(&cli, &rows)?
        } else {
            report::table(&cli, &rows)
        }
    );
    Ok(())
}

/// The contests of the algorithms asked for; one of an algorithm without a peer has advect alone.
fn chosen(cli: &Cli) -> anyhow::Result<Vec<Contest>> {
    if cli.algos.is_empty() {
        return Ok(peers::CONTESTS.to_vec());
    }
    let contest = |name: &String| {
        let algo = registry::resolve(name)?;
        let known = peers::CONTESTS.iter().find(|contest| contest.algo == algo);
        Ok(known.copied().unwrap_or(Contest::alone(algo)))
    };
    cli.algos.iter().map(contest).collect()
}

/// All rounds of one algorithm.
fn measure(cli: &Cli, contest: &Contest, mut peers: Option<&mut Peers>) -> anyhow::Result<Row> {
    let mut agent = agent(cli, contest)?;
    let hidden = peers::widths(agent.as_ref());
    let plan = TimingPlan {
        obs_dim: cli.obs_dim,
        act_dim: cli.act_dim,
        block: 2,
        warmup_blocks: 1,
        blocks: cli.updates.div_ceil(2),
        seed: 0,
    };
    let mut row = Row::new(contest.algo, &hidden);
    for _ in 0..cli.rounds {
        let own = time_updates(agent.as_mut(), &plan, &Device::Cpu)?;
        row.own.push(own.mean_seconds);
        let Some(peers) = peers.as_deref_mut() else {
            continue;
        };
        for (package, seconds) in Package::ALL.into_iter().zip(&mut row.peers) {
            seconds.extend(contest.seconds(package, peers, cli, &hidden)?);
        }
    }
    Ok(row)
}

fn agent(cli: &Cli, contest: &Contest) -> anyhow::Result<Box<dyn Agent>> {
    let preset = presets::find(contest.algo, "", Some(&cli.preset))?;
    let preset = RunConfig::from_toml(preset)?;
    let mut config = configure_agent(contest.algo, &preset.agent, &[])?;
    let known: Vec<String> = cli
        .settings
        .iter()
        .filter(|setting| config.contains_key(setting.split('=').next().unwrap_or_default()))
        .cloned()
        .collect();
    config = configure_agent(contest.algo, &config, &known)?;
    let dims = Dims {
        obs: cli.obs_dim,
        act: cli.act_dim,
    };
    registry::make(contest.algo, &config, dims, 0, &Device::Cpu)
        .with_context(|| format!("cannot build {}", contest.algo))
}
