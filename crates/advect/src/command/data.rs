//! `advect collect` and `advect data`.

use super::actor::ActorArgs;
use super::args::{ConvertArgs, DataArgs, DataVerb};
use super::print;
use super::progress::Shown;
use advect::compose;
use advect::env_source::EnvSource;
use advect::envs::data::{Dataset, read_robomimic};
use advect::rl::behaviour::Behaviour;
use advect::rl::collect::{Collected, Wanted, collect};
use advect::rl::recorded::recorded;
use anyhow::Context;
use clap::Args;
use std::path::{Path, PathBuf};

/// Arguments of `collect`.
#[derive(Debug, Args)]
pub struct CollectArgs {
    /// Who acts.
    #[command(flatten)]
    pub actor: ActorArgs,
    /// Episodes to record
    #[arg(long, default_value_t = 100, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub episodes: u32,
    /// HDF5 file to write, in D4RL's layout
    #[arg(long, value_name = "FILE")]
    pub out: PathBuf,
    /// Record only episodes that achieve the task, each up to there
    #[arg(long)]
    pub successful: bool,
    /// Record only episodes of at least N steps
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub min_length: usize,
    /// Record only episodes of at most N steps
    #[arg(long, value_name = "N")]
    pub max_length: Option<usize>,
    /// Record only episodes with at least this return
    #[arg(long, value_name = "R", allow_negative_numbers = true)]
    pub min_return: Option<f64>,
    /// Record what the run's replay holds at the checkpoint, instead of new episodes
    #[arg(long, conflicts_with_all = ["episodes", "explore", "noise", "successful", "min_length", "max_length", "min_return"])]
    pub replay: bool,
}

impl CollectArgs {
    fn wanted(&self) -> Wanted {
        Wanted {
            episodes: self.episodes as usize,
            min_length: self.min_length,
            max_length: self.max_length.unwrap_or(usize::MAX),
            min_return: self.min_return.unwrap_or(f64::NEG_INFINITY),
            successful: self.successful,
        }
    }
}

/// `advect collect`: records episodes, or a replay.
pub fn collect_episodes(args: &CollectArgs) -> anyhow::Result<()> {
    if args.replay {
        let dataset = replay_of(Path::new(&args.actor.source), &args.actor)?;
        return write(&dataset, &args.out);
    }
    let collected = args
        .actor
        .with_actor(|source, behaviour| play(args, source, behaviour))?;
    write(&collected.dataset, &args.out)?;
    if let Some(successes) = collected.successes {
        let attempts = collected.attempts;
        print(&format!(
            "{successes} of {attempts} episodes achieved the task"
        ))?;
    }
    Ok(())
}

fn play(
    args: &CollectArgs,
    source: &EnvSource,
    behaviour: &mut dyn Behaviour,
) -> anyhow::Result<Collected> {
    let mut shown = Shown::new();
    let collected = collect(
        &source.factory(),
        &args.wanted(),
        args.actor.seed,
        behaviour,
        &mut |kept, total| shown.on_episode(kept as u32 + 1, args.episodes, total),
    )?;
    shown.finish();
    Ok(collected)
}

fn replay_of(run: &Path, actor: &ActorArgs) -> anyhow::Result<Dataset> {
    let device = actor.compute.device_name().unwrap_or_else(|| "auto".into());
    let trained = compose::load(run, &device, actor.checkpoint_in(run)?)?;
    let spec = EnvSource::of(&trained.config).provide(&mut |line| eprintln!("{line}"))?;
    let settings = trained.agent.loop_settings();
    recorded(run, trained.env_steps, &settings, &spec).context("cannot read the run's replay")
}

fn write(dataset: &Dataset, out: &Path) -> anyhow::Result<()> {
    dataset.write(out)?;
    print(&dataset.stats().to_string())?;
    print(&format!("{} transitions: {}", dataset.len(), out.display()))
}

/// `advect data`: what a file of transitions holds, or the file in D4RL's layout.
pub fn run(args: &DataArgs) -> anyhow::Result<()> {
    match &args.verb {
        DataVerb::Info(info) => print(&Dataset::read(&info.file)?.stats().to_string()),
        DataVerb::Convert(convert) => write(&converted(convert)?, &convert.out),
    }
}

fn converted(args: &ConvertArgs) -> anyhow::Result<Dataset> {
    let keys: Vec<&str> = args.keys.iter().map(String::as_str).collect();
    let mut dataset = match keys.as_slice() {
        [] => Dataset::read(&args.file)?,
        keys => read_robomimic(&args.file, keys)?,
    };
    if let Some(id) = &args.env {
        dataset.env = Some(id.clone());
    }
    Ok(dataset)
}
