//! How several runs show themselves as one.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use advect::rl::{EvalReport, Progress, Snapshot};

use super::super::eval;
use super::super::progress::{Shown, clock};

/// How often a run tells where it stands.
const TOLD_EVERY: Duration = Duration::from_millis(100);

/// One bar, or one line now and then, for all runs.
pub(super) struct Board(Mutex<Seen>);

struct Seen {
    /// None for a quiet command.
    shown: Option<Shown>,
    /// Where each seed stands.
    runs: BTreeMap<u64, Run>,
}

struct Run {
    done: u64,
    steps: u64,
    speed: f64,
    mean_return: Option<f64>,
}

impl Board {
    /// For these seeds with their steps.
    pub fn new(seeds: impl Iterator<Item = (u64, u64)>, quiet: bool) -> Self {
        let run = |steps| Run {
            done: 0,
            steps,
            speed: 0.0,
            mean_return: None,
        };
        Self(Mutex::new(Seen {
            shown: (!quiet).then(Shown::new),
            runs: seeds.map(|(seed, steps)| (seed, run(steps))).collect(),
        }))
    }

    /// What the run of this seed reports to.
    pub fn lane(&self, seed: u64) -> Lane<'_> {
        Lane {
            board: self,
            seed,
            told: None,
        }
    }

    /// Prints a line that stays.
    pub fn line(&self, text: &str) {
        if let Some(shown) = &self.seen().shown {
            shown.line(text);
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Some(shown) = &self.seen().shown {
            shown.finish();
        }
    }

    fn seen(&self) -> MutexGuard<'_, Seen> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn tell(&self, seed: u64, now: &Snapshot) {
        let seen = &mut *self.seen();
        if let Some(run) = seen.runs.get_mut(&seed) {
            run.done = now.env_steps;
            run.steps = now.total_steps;
            run.mean_return = now.mean_return.or(run.mean_return);
            run.speed = match now.env_steps < now.total_steps {
                true => now.steps_per_second,
                false => 0.0,
            };
        }
        let runs = &seen.runs;
        let sum = |of: fn(&Run) -> u64| runs.values().map(of).sum::<u64>();
        let (done, steps) = (sum(|run| run.done), sum(|run| run.steps));
        if let Some(shown) = &mut seen.shown {
            shown.on_many(done, steps, || describe(runs, steps - done));
        }
    }
}

/// The part of the board that a run sees.
pub(super) struct Lane<'a> {
    board: &'a Board,
    seed: u64,
    told: Option<Instant>,
}

impl Progress for Lane<'_> {
    fn on_step(&mut self, now: &Snapshot) {
        let due = self.told.is_none_or(|told| told.elapsed() >= TOLD_EVERY);
        if due || now.env_steps >= now.total_steps {
            self.told = Some(Instant::now());
            self.board.tell(self.seed, now);
        }
    }

    fn on_eval(&mut self, env_steps: u64, report: &EvalReport) {
        let (seed, line) = (self.seed, eval::one_line(report));
        self.board.line(&format!(
            "seed {seed}: evaluation at step {env_steps}: {line}"
        ));
    }
}

/// `steps 1200 to 1300 of 5000 | return -210.3 over 16 seeds | 8500 steps/s | 0:04 left`
fn describe(runs: &BTreeMap<u64, Run>, left: u64) -> String {
    let done = || runs.values().map(|run| run.done);
    let (least, most) = (done().min().unwrap_or(0), done().max().unwrap_or(0));
    let steps = runs.values().map(|run| run.steps).max().unwrap_or(0);
    let mut parts = vec![format!("steps {least} to {most} of {steps}")];
    let returns: Vec<f64> = runs.values().filter_map(|run| run.mean_return).collect();
    if !returns.is_empty() {
        let (mean, seeds) = (
            returns.iter().sum::<f64>() / returns.len() as f64,
            returns.len(),
        );
        parts.push(format!("return {mean:.1} over {seeds} seeds"));
    }
    let speed: f64 = runs.values().map(|run| run.speed).sum();
    parts.push(format!("{speed:.0} steps/s"));
    if speed > 0.0 {
        parts.push(format!("{} left", clock(left as f64 / speed)));
    }
    parts.join(" | ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_runs_are_one_line() {
        let run = |done, mean_return| Run {
            done,
            steps: 5000,
            speed: 100.0,
            mean_return,
        };
        let runs = BTreeMap::from([
            (1, run(1200, Some(-200.0))),
            (2, run(1300, Some(-100.0))),
            (3, run(0, None)),
        ]);
        assert_eq!(
            describe(&runs, 12_500),
            "steps 0 to 1300 of 5000 | return -150.0 over 2 seeds | 300 steps/s | 0:42 left"
        );
    }
}
