//! `advect train`.

mod board;
mod seeds;

pub use seeds::Seeds;

use super::again::INTERRUPTED;
use super::args::TrainArgs;
use super::progress::{Shown, clock};
use super::{eval, pictures, print, settings, start_threads};
use advect::compose::{self, Request};
use advect::env_source::EnvSource;
use advect::result::RunResult;
use advect::rl::{EvalReport, Outcome, RunConfig, Trainer, run_dir};
use anyhow::{Context, bail};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Interrupts closer together than this are one.
const REPEATED: Duration = Duration::from_millis(700);

/// Where a run begins.
enum Begin {
    New(RunConfig),
    Resume(PathBuf),
}

impl Begin {
    /// The configuration that the run will have.
    fn config(&self, request: &Request) -> anyhow::Result<RunConfig> {
        Ok(match self {
            Self::New(config) => config.clone(),
            Self::Resume(run) => compose::reconfigure(run_dir::read_config(run)?, request)?,
        })
    }
}

/// `advect train`: trains a new run or goes on with one.
pub fn run(args: &TrainArgs) -> anyhow::Result<ExitCode> {
    let request = request(args)?;
    if let Some(seeds) = &args.seeds {
        return seeds::run(args, &request, seeds);
    }
    let begin = begin(args, &request)?;
    let config = begin.config(&request)?;
    let threads = start_threads(Some(config.threads))?;
    let stop = stop_on_signals()?;
    EnvSource::of(&config).provide(&mut |line| eprintln!("{line}"))?;
    let mut trainer = match begin {
        Begin::New(config) => compose::start(&args.out, config)?,
        Begin::Resume(run) => compose::resume(&run, &request, args.checkpoint)?,
    };
    if !args.quiet {
        eprintln!("{}", headline(&trainer, threads));
    }
    let began = Instant::now();
    let outcome = train(&mut trainer, &stop, args.quiet)?;
    finish(&mut trainer, &outcome, began, args.quiet)
}

fn request(args: &TrainArgs) -> anyhow::Result<Request> {
    let read = |path: &PathBuf| {
        std::fs::read_to_string(path)
            .with_context(|| format!("cannot read the configuration {}", path.display()))
    };
    Ok(Request {
        algo: args.algo.clone(),
        env: args.env.clone(),
        preset: args.preset.clone(),
        steps: args.steps,
        seed: args.seed,
        device: args.compute.device_name(),
        threads: args.compute.thread_count(),
        python: args.python.clone(),
        file: args.config.as_ref().map(read).transpose()?,
        settings: settings(&args.settings),
    })
}

fn begin(args: &TrainArgs, request: &Request) -> anyhow::Result<Begin> {
    let configure = || compose::configure(request).with_context(|| from_file(args));
    match &args.resume {
        None => Ok(Begin::New(configure()?)),
        Some(Some(run)) => {
            check_same_run(run, args)?;
            Ok(Begin::Resume(run.clone()))
        }
        Some(None) => {
            let config = configure()?;
            let run = args.out.join(config.run_name());
            if !run.join(run_dir::CONFIG_FILE).is_file() {
                return Ok(Begin::New(config));
            }
            check_same_settings(&run, args, request, &config)?;
            Ok(Begin::Resume(run))
        }
    }
}

/// What an error in the configuration is put under.
fn from_file(args: &TrainArgs) -> String {
    match &args.config {
        Some(path) => format!(
            "cannot use the configuration {} with the arguments given",
            path.display()
        ),
        None => "cannot use the arguments given".into(),
    }
}

/// Refuses arguments that would make RUN another run.
fn check_same_run(run: &Path, args: &TrainArgs) -> anyhow::Result<()> {
    let config = run_dir::read_config(run)?;
    let other =
        |given: &Option<String>, own: &str| given.as_ref().is_some_and(|given| given != own);
    if other(&args.algo, &config.algo) || other(&args.env, &config.env) {
        bail!(
            "{} is a run of {} on {}: leave ALGO and --env out to resume it",
            run.display(),
            config.algo,
            config.env
        );
    }
    if args.config.is_some() || args.preset.is_some() {
        bail!(
            "{} has its own config.toml: change its settings with --set instead of --config or --preset",
            run.display()
        );
    }
    Ok(())
}

/// Refuses a preset or a configuration file that would make the run that is there another run.
fn check_same_settings(
    run: &Path,
    args: &TrainArgs,
    request: &Request,
    wanted: &RunConfig,
) -> anyhow::Result<()> {
    if args.config.is_none() && args.preset.is_none() {
        return Ok(());
    }
    let own = compose::reconfigure(run_dir::read_config(run)?, request)?;
    if own.identity() == wanted.identity() {
        return Ok(());
    }
    bail!(
        "{} was started with other settings than the preset or the configuration given: take another --out, or leave them out to go on with its own",
        run.display()
    )
}

/// A flag that the first interrupt sets. One that comes later than [`REPEATED`] ends the program at once; earlier ones are the
/// same interrupt, sent to the process and to its group.
fn stop_on_signals() -> anyhow::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    let mut signals = Signals::new([SIGINT, SIGTERM]).context("cannot handle interrupts")?;
    let flag = Arc::clone(&stop);
    std::thread::spawn(move || {
        let mut first = None;
        for _ in signals.forever() {
            match first {
                None => {
                    flag.store(true, Ordering::Relaxed);
                    first = Some(Instant::now());
                    eprintln!(
                        "stopping after this step and saving; interrupt again to end at once"
                    );
                }
                Some(since) if since.elapsed() < REPEATED => {}
                Some(_) => std::process::exit(INTERRUPTED.into()),
            }
        }
    });
    Ok(stop)
}

fn headline(trainer: &Trainer, threads: usize) -> String {
    let (config, path) = (
        trainer.run_dir().config(),
        trainer.run_dir().path().display(),
    );
    let from = match trainer.env_steps() {
        0 => String::new(),
        step => format!(" from step {step}"),
    };
    let threads = if threads == 1 {
        "1 thread".into()
    } else {
        format!("{threads} threads")
    };
    let RunConfig {
        algo,
        env,
        seed,
        steps,
        ..
    } = config;
    format!("{algo} on {env}, seed {seed}: {steps} steps{from} on {threads}, run directory {path}")
}

fn train(trainer: &mut Trainer, stop: &AtomicBool, quiet: bool) -> anyhow::Result<Outcome> {
    if quiet {
        return Ok(trainer.run(stop, &mut ())?);
    }
    let mut shown = Shown::new();
    let outcome = trainer.run(stop, &mut shown);
    shown.finish();
    Ok(outcome?)
}

/// Pictures, `result.json` and the last line.
fn finish(
    trainer: &mut Trainer,
    outcome: &Outcome,
    began: Instant,
    quiet: bool,
) -> anyhow::Result<ExitCode> {
    let config = trainer.run_dir().config().clone();
    let (run, seconds) = (&outcome.run_dir, began.elapsed().as_secs_f64());
    RunResult::new(&config, outcome, seconds).write(run)?;
    if outcome.stopped {
        print(&stopped_line(outcome))?;
        return Ok(ExitCode::from(INTERRUPTED));
    }
    let pictures = pictures::draw_all(trainer)?;
    if !quiet {
        pictures.iter().try_for_each(|line| print(line))?;
        print(&format!(
            "parameter hash {:016x}, {} in this process",
            outcome.parameter_hash,
            clock(seconds)
        ))?;
    }
    print(&last_line(run, outcome.eval.as_ref()))?;
    Ok(ExitCode::SUCCESS)
}

fn stopped_line(outcome: &Outcome) -> String {
    let program = std::env::args().next().unwrap_or_else(|| "advect".into());
    let run = outcome.run_dir.display();
    let saved = match outcome.checkpoint {
        Some(step) => format!("checkpoint at step {step}"),
        None => "still in the warm-up, which will be repeated".into(),
    };
    format!(
        "{run}: stopped at step {}, {saved}; go on with: {program} train --resume {run}",
        outcome.env_steps
    )
}

fn last_line(run: &Path, report: Option<&EvalReport>) -> String {
    let evaluation = report.map_or("none".into(), eval::one_line);
    format!("{}: final evaluation return {evaluation}", run.display())
}
