//! `advect pretrain`.

use super::args::{PretrainArgs, TrainArgs};
use super::train;
use advect::envs::data::Dataset;
use anyhow::Context;
use std::process::ExitCode;

/// The algorithm behind `advect pretrain flow`.
const FLOW: &str = "flow-bc";

/// `advect pretrain flow`: behaviour cloning by flow matching, on the environment that the data name.
pub fn run(args: &PretrainArgs) -> anyhow::Result<ExitCode> {
    train::run(&TrainArgs {
        algo: Some(FLOW.into()),
        env: Some(environment(args)?),
        preset: None,
        python: args.python.clone(),
        steps: Some(args.steps),
        seed: args.seed,
        settings: settings(args),
        out: args.out.clone(),
        resume: args.resume.then_some(None),
        checkpoint: None,
        config: None,
        quiet: args.quiet,
        compute: args.compute.clone(),
    })
}

/// The environment given, or that of the data, in chunks.
fn environment(args: &PretrainArgs) -> anyhow::Result<String> {
    if let Some(env) = &args.env {
        return Ok(env.clone());
    }
    let data = Dataset::read(&args.data)?;
    let env = data.env.with_context(|| {
        let file = args.data.display();
        format!("{file} does not name its environment; give it: --env ID@action_chunk=N")
    })?;
    let mark = if env.contains('@') { ',' } else { '@' };
    Ok(format!("{env}{mark}action_chunk={}", args.chunk))
}

/// The data, a learning rate that has come down at the end, and what was given.
fn settings(args: &PretrainArgs) -> Vec<(String, String)> {
    let path = toml::Value::String(args.data.display().to_string());
    let own = [
        ("data", path.to_string()),
        ("lr_decay", args.steps.to_string()),
    ];
    let own = own.map(|(key, value)| (key.to_owned(), value));
    own.into_iter().chain(args.settings.clone()).collect()
}
