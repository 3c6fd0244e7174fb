//! Several seeds at once, in one process: `advect train --seeds 1..16`.

use std::collections::{BTreeSet, VecDeque};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::str::FromStr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use advect::compose::{self, Request};
use advect::env_source::EnvSource;
use advect::result::RunResult;
use advect::rl::{Outcome, RunConfig, run_dir};
use advect::{device, kernels};
use anyhow::bail;

use super::super::again::INTERRUPTED;
use super::super::args::{ReportArgs, TrainArgs};
use super::super::{explain, pictures, print, report, start_threads};
use super::board::Board;
use super::{Begin, begin, last_line, stop_on_signals};

/// Most seeds of one command.
const MOST: usize = 1024;

/// Different seeds, in ascending order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Seeds(Vec<u64>);

impl FromStr for Seeds {
    type Err = String;

    /// Reads numbers and ranges with both ends, separated by commas: `1..16`, `0,3,7`, `0..2,8`.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut seeds = BTreeSet::new();
        for part in text.split(',') {
            let (first, last) =
                ends(part.trim()).ok_or("expected seeds such as 1..16 (both included) or 0,3,7")?;
            if last - first >= MOST as u64 {
                return Err(format!("at most {MOST} seeds train at once"));
            }
            for seed in first..=last {
                if !seeds.insert(seed) {
                    return Err(format!("seed {seed} stands there twice"));
                }
            }
        }
        match seeds.len() {
            0..=MOST => Ok(Self(seeds.into_iter().collect())),
            _ => Err(format!("at most {MOST} seeds train at once")),
        }
    }
}

/// The first and the last seed of `7` or `1..16`.
fn ends(part: &str) -> Option<(u64, u64)> {
    let (first, last) = part.split_once("..").unwrap_or((part, part));
    let (first, last) = (first.trim().parse().ok()?, last.trim().parse().ok()?);
    (first <= last).then_some((first, last))
}

/// A run that has not begun.
struct Planned {
    seed: u64,
    config: RunConfig,
    begin: Begin,
    request: Request,
}

/// A run that has ended.
struct Ended {
    seed: u64,
    outcome: anyhow::Result<Outcome>,
}

/// Trains the seeds at the same time; each is the run that it would be alone.
pub(super) fn run(args: &TrainArgs, request: &Request, seeds: &Seeds) -> anyhow::Result<ExitCode> {
    let plans = plan(args, request, seeds)?;
    let Some(config) = plans.first().map(|plan| plan.config.clone()) else {
        return Ok(ExitCode::SUCCESS);
    };
    let threads = start_threads(Some(config.threads))?;
    let stop = stop_on_signals()?;
    EnvSource::of(&config).provide(&mut |line| eprintln!("{line}"))?;
    // held open, so that the context is made once
    let device = device::open_for(&config)?;
    let at_once = match device.is_cpu() {
        true => threads.min(plans.len()),
        false => plans.len(),
    };
    if !args.quiet {
        eprintln!("{}", headline(&config, plans.len(), at_once, &args.out));
    }
    let board = Board::new(
        plans.iter().map(|plan| (plan.seed, plan.config.steps)),
        args.quiet,
    );
    let share = Share {
        at_once,
        threads: (threads / at_once).max(1),
        out: &args.out,
        stop: &stop,
        board: &board,
    };
    let ended = share.train(plans)?;
    board.finish();
    conclude(&config, &ended, args)
}

/// What each seed begins with. Nothing is begun if one of them cannot be.
fn plan(args: &TrainArgs, request: &Request, seeds: &Seeds) -> anyhow::Result<Vec<Planned>> {
    if let Some(Some(run)) = &args.resume {
        bail!(
            "{} is one run, but --seeds names several: leave RUN out to go on with those that are there",
            run.display()
        );
    }
    let plan = |seed: &u64| {
        let request = Request {
            seed: Some(*seed),
            ..request.clone()
        };
        let begin = begin(args, &request)?;
        let config = begin.config(&request)?;
        if config.seed != *seed {
            bail!(
                "--seeds and --set seed={} contradict each other",
                config.seed
            );
        }
        let run = args.out.join(config.run_name());
        if matches!(begin, Begin::New(_)) && run.join(run_dir::CONFIG_FILE).exists() {
            bail!(
                "{} holds a run already: give --resume to go on with the runs that are there, or another --out",
                run.display()
            );
        }
        Ok(Planned {
            seed: *seed,
            config,
            begin,
            request,
        })
    };
    seeds.0.iter().map(plan).collect()
}

fn headline(config: &RunConfig, seeds: usize, at_once: usize, out: &Path) -> String {
    let RunConfig {
        algo, env, steps, ..
    } = config;
    let out = out.display();
    format!(
        "{algo} on {env}: {seeds} seeds of {steps} steps, {at_once} at a time, run directories in {out}"
    )
}

/// What the threads have in common that train.
struct Share<'a> {
    /// Runs at the same time.
    at_once: usize,
    /// Threads of the kernels of each.
    threads: usize,
    out: &'a Path,
    stop: &'a AtomicBool,
    board: &'a Board,
}

impl Share<'_> {
    /// Trains all of them, `at_once` at a time; in the order of the seeds.
    fn train(&self, plans: Vec<Planned>) -> anyhow::Result<Vec<Ended>> {
        let queue = Mutex::new(VecDeque::from(plans));
        let ended = Mutex::new(Vec::new());
        std::thread::scope(|scope| -> std::io::Result<()> {
            for _ in 0..self.at_once {
                std::thread::Builder::new().spawn_scoped(scope, || {
                    while let Some(plan) = self.next(&queue) {
                        let seed = plan.seed;
                        let outcome = self.one(plan);
                        if let Err(error) = &outcome {
                            self.board.line(&format!("seed {seed}: {}", explain(error)));
                        }
                        locked(&ended).push(Ended { seed, outcome });
                    }
                })?;
            }
            Ok(())
        })?;
        let mut ended = ended.into_inner().unwrap_or_else(PoisonError::into_inner);
        ended.sort_by_key(|ended| ended.seed);
        Ok(ended)
    }

    /// The next seed, unless the program was interrupted.
    fn next(&self, queue: &Mutex<VecDeque<Planned>>) -> Option<Planned> {
        match self.stop.load(Ordering::Relaxed) {
            true => None,
            false => locked(queue).pop_front(),
        }
    }

    /// One run from its start to its pictures; everything of it stays on the threads of its own pool, its first thread above all, to
    /// which a CUDA device's cache of uploads belongs.
    fn one(&self, plan: Planned) -> anyhow::Result<Outcome> {
        kernels::threads::within(self.threads, || {
            let mut trainer = match plan.begin {
                Begin::New(config) => compose::start(self.out, config)?,
                Begin::Resume(run) => compose::resume(&run, &plan.request, None)?,
            };
            let (began, lane) = (Instant::now(), &mut self.board.lane(plan.seed));
            let outcome = trainer.run(self.stop, lane)?;
            let (config, run) = (trainer.run_dir().config().clone(), &outcome.run_dir);
            RunResult::new(&config, &outcome, began.elapsed().as_secs_f64()).write(run)?;
            if !outcome.stopped {
                pictures::draw_all(&mut trainer)?;
            }
            Ok(outcome)
        })?
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The last lines, and how the command ends.
fn conclude(config: &RunConfig, ended: &[Ended], args: &TrainArgs) -> anyhow::Result<ExitCode> {
    let done = |ended: &Ended| match &ended.outcome {
        Ok(outcome) if !outcome.stopped => Some(outcome.clone()),
        _ => None,
    };
    let done: Vec<Outcome> = ended.iter().filter_map(done).collect();
    if !done.is_empty() {
        let picture = format!("{}-seeds.svg", config.series_name());
        show(&done, args.out.join(picture))?;
    }
    let failed = |ended: &Ended| {
        ended
            .outcome
            .as_ref()
            .err()
            .map(|why| (ended.seed, explain(why)))
    };
    let failed: Vec<(u64, String)> = ended.iter().filter_map(failed).collect();
    if let [(seed, why), ..] = failed.as_slice() {
        let (some, all) = (failed.len(), ended.len());
        bail!("{some} of {all} seeds failed; seed {seed}: {why}");
    }
    let wanted = args.seeds.as_ref().map_or(0, |seeds| seeds.0.len());
    if done.len() < wanted {
        print("stopped; the same command with --resume goes on with these runs")?;
        return Ok(ExitCode::from(INTERRUPTED));
    }
    Ok(ExitCode::SUCCESS)
}

/// Every run's evaluation, then curve and table over the seeds.
fn show(done: &[Outcome], picture: PathBuf) -> anyhow::Result<()> {
    for outcome in done {
        print(&last_line(&outcome.run_dir, outcome.eval.as_ref()))?;
    }
    report::run(&ReportArgs {
        runs: done.iter().map(|outcome| outcome.run_dir.clone()).collect(),
        out: Some(picture),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_are_numbers_and_ranges_with_both_ends() {
        let seeds = |text: &str| text.parse::<Seeds>().map(|seeds| seeds.0);
        assert_eq!(seeds("1..4"), Ok(vec![1, 2, 3, 4]));
        assert_eq!(seeds("7, 0..1"), Ok(vec![0, 1, 7]));
        for bad in ["", "4..1", "1..", "a", "1...3", "-1", "1,,2"] {
            assert!(seeds(bad).unwrap_err().contains("1..16"), "{bad}");
        }
        assert!(seeds("1..3,2").unwrap_err().contains("seed 2"));
        for many in ["0..1024", "0..18446744073709551615", "0..1000,2000..2100"] {
            assert!(seeds(many).unwrap_err().contains("1024"), "{many}");
        }
    }
}
