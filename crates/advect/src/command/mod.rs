//! The verbs of the command.

mod actor;
mod again;
pub mod args;
mod bench;
mod check_env;
mod data;
mod demos;
#[cfg(feature = "cuda")]
mod device_report;
mod eval;
mod lists;
mod modes;
mod pictures;
mod pretrain;
mod progress;
mod render;
mod report;
mod train;

use advect::rl::Products;
use again::{INTERRUPTED, Interrupted};
use anyhow::Context;
use args::{Cli, ComputeArgs, DeviceChoice, ProductsChoice, Verb};
use std::io::{ErrorKind, Write};
use std::process::ExitCode;

/// Does what was typed.
pub fn run(cli: Cli) -> anyhow::Result<ExitCode> {
    match cli.verb {
        Verb::Train(args) => return train::run(&args),
        Verb::Pretrain(args) => return pretrain::run(&args),
        Verb::Eval(args) => eval::run(&args)?,
        Verb::Report(args) => report::run(&args)?,
        Verb::BenchUpdate(args) => bench::run(&args)?,
        Verb::Algos => lists::algos()?,
        Verb::Presets => lists::presets()?,
        Verb::Envs => lists::envs()?,
        Verb::Collect(args) => data::collect_episodes(&args)?,
        Verb::Render(args) => render::run(&args)?,
        Verb::Demos(args) => demos::run(&args)?,
        Verb::Modes(args) => modes::run(&args)?,
        Verb::Data(args) => data::run(&args)?,
        Verb::CheckEnv(args) => check_env::run(&args)?,
        #[cfg(feature = "cuda")]
        Verb::DeviceReport(args) => device_report::run(&args)?,
        Verb::Config(args) => lists::config(&args)?,
    }
    Ok(ExitCode::SUCCESS)
}

/// An error with its causes on one line; a cause that the text before already holds is not repeated.
pub fn explain(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain().map(ToString::to_string) {
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// That of an interrupt, or of any other failure.
pub fn exit_code(error: &anyhow::Error) -> ExitCode {
    match error.is::<Interrupted>() {
        true => INTERRUPTED.into(),
        false => ExitCode::FAILURE,
    }
}

/// Prints a line to the output; a reader that has gone away is no error.
fn print(line: &str) -> anyhow::Result<()> {
    match writeln!(std::io::stdout(), "{line}") {
        Err(e) if e.kind() != ErrorKind::BrokenPipe => Err(e).context("cannot write to the output"),
        _ => Ok(()),
    }
}

/// Sizes the thread pool, once: the number given, or the cores available for none or 0.
fn start_threads(threads: Option<usize>) -> anyhow::Result<usize> {
    Ok(advect::kernels::threads::init(threads.filter(|&n| n > 0))?)
}

impl ComputeArgs {
    fn thread_count(&self) -> Option<usize> {
        self.threads.map(usize::from)
    }

    /// The device as a configuration names it; `None` where nothing was asked for.
    fn device_name(&self) -> Option<String> {
        self.device.map(|device| device.name().to_owned())
    }
}

impl DeviceChoice {
    fn name(self) -> &'static str {
        match self {
            Self::Auto => "auto",
            Self::Cpu => "cpu",
            Self::Cuda => "cuda",
        }
    }
}

impl From<ProductsChoice> for Products {
    fn from(choice: ProductsChoice) -> Self {
        match choice {
            ProductsChoice::F32 => Self::F32,
            ProductsChoice::Tf32 => Self::Tf32,
            ProductsChoice::Bf16 => Self::Bf16,
        }
    }
}

/// `key=value` as the library takes it.
fn settings(pairs: &[(String, String)]) -> Vec<String> {
    pairs
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect()
}

#[cfg(test)]
mod pages;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_not_repeated() {
        let inner = anyhow::anyhow!("disk full");
        let error = inner
            .context("cannot save: disk full")
            .context("training stopped");
        assert_eq!(explain(&error), "training stopped: cannot save: disk full");
    }
}
