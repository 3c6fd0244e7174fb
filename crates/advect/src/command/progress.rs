//! How a run shows itself: a bar on a terminal, a line every few seconds elsewhere. Both go to the error stream.

use advect::rl::{EvalReport, Progress, Snapshot};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use std::io::IsTerminal;
use std::path::Path;
use std::time::{Duration, Instant};

/// Time between lines where there is no terminal.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// Time between updates of the bar.
const BAR_EVERY: Duration = Duration::from_millis(150);

/// Shows a run on the error stream.
pub struct Shown {
    bar: Option<ProgressBar>,
    every: Duration,
    last: Option<Instant>,
}

impl Shown {
    /// A bar where the error stream is a terminal, lines elsewhere.
    pub fn new() -> Self {
        if !std::io::stderr().is_terminal() {
            return Self {
                bar: None,
                every: LINE_EVERY,
                last: None,
            };
        }
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
        let style = ProgressStyle::with_template("{bar:32.cyan/dim} {percent:>3}%  {msg}");
        if let Ok(style) = style {
            bar.set_style(style);
        }
        Self {
            bar: Some(bar),
            every: BAR_EVERY,
            last: None,
        }
    }

    /// Whether it is time to show something again.
    fn due(&mut self) -> bool {
        let due = self.last.is_none_or(|last| last.elapsed() >= self.every);
        if due {
            self.last = Some(Instant::now());
        }
        due
    }

    fn show(&mut self, done: u64, total: u64, text: String) {
        match &self.bar {
            Some(bar) => {
                bar.set_length(total);
                bar.set_position(done);
                bar.set_message(text);
            }
            None => eprintln!(
                "{:>3.0}%  {text}",
                100.0 * done as f64 / total.max(1) as f64
            ),
        }
    }

    /// Shows how many episodes of a set are there.
    pub fn on_episode(&mut self, done: u32, total: u32, value: f64) {
        self.on_many(done.into(), total.into(), || {
            format!("episode {done} of {total} | return {value:.1}")
        });
    }

    /// Shows how much of something is done, and a text about it.
    pub fn on_many(&mut self, done: u64, total: u64, text: impl FnOnce() -> String) {
        if self.due() {
            self.show(done, total, text());
        }
    }

    /// Prints a line that stays.
    pub fn line(&self, text: &str) {
        match &self.bar {
            Some(bar) => bar.println(text),
            None => eprintln!("{text}"),
        }
    }

    /// Takes the bar away.
    pub fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

impl Progress for Shown {
    fn on_warmup(&mut self, done: u64, total: u64) {
        if self.due() {
            self.show(
                0,
                1,
                format!("warm-up: {done} of {total} random transitions"),
            );
        }
    }

    fn on_step(&mut self, now: &Snapshot) {
        if self.due() {
            self.show(now.env_steps, now.total_steps, describe(now));
        }
    }

    fn on_eval(&mut self, env_steps: u64, report: &EvalReport) {
        self.line(&format!(
            "evaluation at step {env_steps}: {}",
            super::eval::one_line(report)
        ));
    }

    fn on_checkpoint(&mut self, _env_steps: u64, path: &Path) {
        tracing::debug!(path = %path.display(), "checkpoint");
    }
}

/// `step 1200 of 5000 | return -210.3 | 850 steps/s | 0:04 left`
fn describe(now: &Snapshot) -> String {
    let mut parts = vec![format!("step {} of {}", now.env_steps, now.total_steps)];
    parts.extend(now.mean_return.map(|r| format!("return {r:.1}")));
    parts.push(format!("{:.0} steps/s", now.steps_per_second));
    parts.extend(now.seconds_left.map(|s| format!("{} left", clock(s))));
    parts.join(" | ")
}

/// `1:02:03` or `2:03`.
pub fn clock(seconds: f64) -> String {
    let whole = seconds.max(0.0).round() as u64;
    let (h, m, s) = (whole / 3600, whole / 60 % 60, whole % 60);
    if h > 0 {
        format!("{h}:{m:02}:{s:02}")
    } else {
        format!("{m}:{s:02}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_shows_return_speed_and_time_left() {
        let now = Snapshot {
            env_steps: 1200,
            total_steps: 5000,
            updates: 10,
            episodes: 3,
            mean_return: Some(-210.31),
            steps_per_second: 850.4,
            seconds_left: Some(3723.0),
        };
        assert_eq!(
            describe(&now),
            "step 1200 of 5000 | return -210.3 | 850 steps/s | 1:02:03 left"
        );
        let early = Snapshot {
            mean_return: None,
            seconds_left: None,
            ..now
        };
        assert_eq!(describe(&early), "step 1200 of 5000 | 850 steps/s");
    }
}
