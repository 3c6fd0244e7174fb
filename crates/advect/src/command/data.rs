//! `advect collect` and `advect data info`.

use super::args::{CollectArgs, DataArgs, DataVerb};
use super::{print, start_threads};
use advect::compose;
use advect::env_source::EnvSource;
use advect::envs::data::Dataset;
use advect::rl::collect::{Behaviour, by_agent, by_chance, collect};
use advect::rl::{ActMode, run_dir};
use advect::rng::Stream;
use anyhow::Context;
use indicatif::ProgressBar;

/// The word that stands for uniform random actions instead of a run.
const RANDOM: &str = "random";

/// `advect collect`: records episodes of a trained agent, or of random actions.
pub fn collect_episodes(args: &CollectArgs) -> anyhow::Result<()> {
    start_threads(args.compute.thread_count())?;
    if args.source == RANDOM {
        let env = args.env.as_deref();
        let env = env.context("`collect random` needs --env ID")?;
        let source = EnvSource::new(env, args.python.as_deref());
        let stream = Stream::new(args.seed, "collect/random");
        return record(args, &source, &mut by_chance(stream));
    }
    let run = std::path::Path::new(&args.source);
    let config = run_dir::read_config(run)?;
    let python = args.python.as_deref().unwrap_or(&config.python);
    let source = EnvSource::new(&config.env, Some(python));
    source.provide(&mut |line| eprintln!("{line}"))?;
    let device = args.compute.device_name().unwrap_or_else(|| "auto".into());
    let mut trained = compose::load(run, &device, args.checkpoint)?;
    let mode = if args.explore {
        ActMode::Explore
    } else {
        ActMode::Evaluate
    };
    let agent = trained.agent.as_mut();
    agent.begin_evaluation(Stream::new(args.seed, "collect/agent"));
    record(args, &source, &mut by_agent(agent, mode, &trained.device))
}

fn record(args: &CollectArgs, source: &EnvSource, behave: &mut Behaviour) -> anyhow::Result<()> {
    source.provide(&mut |line| eprintln!("{line}"))?;
    let bar = ProgressBar::new(u64::from(args.episodes));
    let dataset = collect(
        &source.factory(),
        args.episodes as usize,
        args.seed,
        behave,
        &mut |_, total| {
            bar.set_message(format!("return {total:.1}"));
            bar.inc(1);
        },
    )?;
    bar.finish_and_clear();
    dataset.write(&args.out)?;
    print(&dataset.stats().to_string())?;
    print(&format!(
        "{} transitions: {}",
        dataset.len(),
        args.out.display()
    ))
}

/// `advect data info`: what a file of transitions holds.
pub fn run(args: &DataArgs) -> anyhow::Result<()> {
    let DataVerb::Info(info) = &args.verb;
    print(&Dataset::read(&info.file)?.stats().to_string())
}
