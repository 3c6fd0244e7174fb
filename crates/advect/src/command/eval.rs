//! `advect eval`.

use super::args::EvalArgs;
use super::{print, start_threads};
use advect::compose::{self, Trained};
use advect::env_source::EnvSource;
use advect::result::Evaluation;
use advect::rl::EvalReport;
use advect::rl::eval::evaluate;
use serde::Serialize;

/// What `--json` prints.
#[derive(Serialize)]
struct Report<'a> {
    run: String,
    algo: &'a str,
    env: &'a str,
    env_steps: u64,
    seed: u64,
    single_sample: bool,
    #[serde(flatten)]
    evaluation: Evaluation,
    returns: &'a [f64],
}

/// `advect eval`: evaluates a checkpoint.
pub fn run(args: &EvalArgs) -> anyhow::Result<()> {
    start_threads(args.compute.thread_count())?;
    let config = advect::rl::run_dir::read_config(&args.run)?;
    let source = EnvSource::for_agent_of(&config, args.env.as_deref(), None)?;
    let device = args.compute.device_name().unwrap_or_else(|| "auto".into());
    let mut trained = compose::load(&args.run, &device, args.checkpoint)?;
    if args.single_sample {
        let Trained {
            config,
            agent,
            device,
            ..
        } = &trained;
        trained.agent = compose::sampler(config, agent.as_ref(), device)?;
    }
    let make_env = source.factory();
    let agent = trained.agent.as_mut();
    let report = evaluate(
        agent,
        &make_env,
        args.episodes as usize,
        args.seed,
        &trained.device,
    )?;
    if args.json {
        print(&serde_json::to_string(&json(
            args,
            source.id(),
            &trained,
            &report,
        ))?)
    } else {
        print(&text(source.id(), &trained, &report))
    }
}

fn json<'a>(
    args: &EvalArgs,
    env: &'a str,
    trained: &'a Trained,
    report: &'a EvalReport,
) -> Report<'a> {
    Report {
        run: args.run.display().to_string(),
        algo: &trained.config.algo,
        env,
        env_steps: trained.env_steps,
        seed: args.seed,
        single_sample: args.single_sample,
        evaluation: Evaluation::from(report),
        returns: &report.returns,
    }
}

fn text(env: &str, trained: &Trained, report: &EvalReport) -> String {
    let Evaluation {
        mean,
        std,
        iqm,
        mean_interval,
        iqm_interval,
        episode_length,
        episodes,
        success_rate,
    } = report.into();
    let (algo, step) = (&trained.config.algo, trained.env_steps);
    let interval = |[low, high]: [f64; 2]| format!("{low:.2} .. {high:.2}");
    let success = success_rate.map_or(String::new(), |rate| format!("\nsuccess {rate:.3}"));
    format!(
        "{algo} on {env}, checkpoint at step {step}, {episodes} episodes of {episode_length:.1} steps\n\
         mean {mean:.2}   std {std:.2}   95 % bootstrap interval {}\n\
         IQM  {iqm:.2}   95 % bootstrap interval {}{success}",
        interval(mean_interval),
        interval(iqm_interval),
    )
}

/// `-135.20 +- 80.11 over 20 episodes`
pub fn one_line(report: &EvalReport) -> String {
    format!(
        "{:.2} +- {:.2} over {} episodes",
        report.mean,
        report.std,
        report.returns.len()
    )
}
