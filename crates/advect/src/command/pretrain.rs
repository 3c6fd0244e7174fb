//! `advect pretrain`.

use super::args::{PretrainArgs, TrainArgs};
use super::train;
use advect::envs::data::Dataset;
use advect::rl::{RunConfig, run_dir};
use anyhow::Context;
use std::process::ExitCode;

/// Most updates of the learning rate's warm-up, and before the weights are averaged; a tenth of a shorter run.
const LONGEST_BEGINNING: u64 = 1000;

/// The algorithm behind `advect pretrain flow`.
const FLOW: &str = "flow-bc";

/// `advect pretrain flow`: behaviour cloning by flow matching, on the environment that the data name.
pub fn run(args: &PretrainArgs) -> anyhow::Result<ExitCode> {
    let env = environment(args)?;
    train::run(&TrainArgs {
        settings: settings(args, &env)?,
        algo: Some(FLOW.into()),
        env: Some(env),
        preset: args.preset.clone(),
        python: args.python.clone(),
        steps: Some(args.steps),
        seed: args.seed,
        seeds: None,
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

/// What was given, for a new run behind the data and a schedule of its length; a run that goes on keeps its own.
fn settings(args: &PretrainArgs, env: &str) -> anyhow::Result<Vec<(String, String)>> {
    let config = RunConfig {
        algo: FLOW.into(),
        env: env.into(),
        seed: args.seed.unwrap_or_default(),
        ..RunConfig::default()
    };
    let run = args.out.join(config.run_name());
    if args.resume && run.join(run_dir::CONFIG_FILE).is_file() {
        return Ok(args.settings.clone());
    }
    let file = std::path::absolute(&args.data)
        .with_context(|| format!("cannot find {}", args.data.display()))?;
    let begin = (args.steps / 10).min(LONGEST_BEGINNING);
    let own = [
        (
            "data",
            toml::Value::String(file.display().to_string()).to_string(),
        ),
        ("lr_decay", args.steps.to_string()),
        ("lr_warmup", begin.to_string()),
        ("ema_start", begin.to_string()),
    ];
    let own = own.map(|(key, value)| (key.to_owned(), value));
    Ok(own.into_iter().chain(args.settings.clone()).collect())
}
