//! Whole runs on the GPU: one to its end, a short one twice, which must have the same hash, and many seeds at once.

use std::path::Path;
use std::process::{Command, Stdio};

use advect::result::{RESULT_FILE, RunResult};
use anyhow::{Context, bail};
use serde::Serialize;

use super::super::args::DeviceReportArgs;
use super::super::print;

const ENV: &str = "HalfCheetah-v5";
/// The short run: beyond the warm-up, and more updates than are rehearsed.
const SHORT: u64 = 12_000;

/// Seeds at once, and most steps of each.
const SEEDS: u64 = 16;
const STEPS_OF_SEEDS: u64 = 50_000;
/// Arithmetic of the candidates: exact, and by tensor cores.
const SCORING: [&str; 2] = ["f32", "bf16"];

/// What the report holds of them.
#[derive(Serialize)]
pub(super) struct Runs {
    full: RunResult,
    /// Hashes of the short run, which are equal.
    hashes: [String; 2],
    seeds: Vec<Seeds>,
}

/// A seed alone, and the slowest of several at once.
#[derive(Serialize)]
struct Seeds {
    scoring: &'static str,
    seeds: u64,
    steps: u64,
    alone_seconds: f64,
    together_seconds: f64,
    /// Whether the first of them has the hash that it has alone.
    same_hash: bool,
}

/// The runs, unless `--steps 0`.
pub(super) fn run(args: &DeviceReportArgs) -> anyhow::Result<Option<Runs>> {
    if args.steps == 0 {
        return Ok(None);
    }
    let folder = args.out.with_extension("runs");
    let hash = |name: &str| -> anyhow::Result<String> {
        let steps = SHORT.min(args.steps);
        let mut run = train(args, "sac", steps, 0, (&[], &folder.join(name)))?;
        Ok(run.remove(0).parameter_hash)
    };
    let hashes = [hash("first")?, hash("second")?];
    print(&match hashes[0] == hashes[1] {
        true => format!("two runs of SAC have the same hash {}", hashes[0]),
        false => format!("two runs of SAC DIFFER: {} and {}", hashes[0], hashes[1]),
    })?;
    let out = (&[][..], &*folder.join("full"));
    let full = train(args, "flame-m", args.steps, 0, out)?.remove(0);
    let mean = full.evaluation.as_ref().map_or(f64::NAN, |eval| eval.mean);
    print(&format!(
        "flame-m on {}: {} steps in {:.1} s, return {mean:.1}",
        full.env, full.env_steps, full.wall_seconds
    ))?;
    let seeds = SCORING.map(|scoring| seeds(args, scoring, &folder.join(scoring)));
    let seeds = seeds.into_iter().collect::<anyhow::Result<_>>()?;
    Ok(Some(Runs {
        full,
        hashes,
        seeds,
    }))
}

/// FLAME-M's first seed alone, then all of them.
fn seeds(args: &DeviceReportArgs, scoring: &'static str, folder: &Path) -> anyhow::Result<Seeds> {
    let steps = STEPS_OF_SEEDS.min(args.steps);
    let setting = [format!("scoring={scoring}")];
    let seeds = |last: u64, name: &str| {
        let out = folder.join(name);
        train(args, "flame-m", steps, last, (&setting, &out))
    };
    let (alone, together) = (seeds(0, "alone")?, seeds(SEEDS - 1, "together")?);
    let slowest = |runs: &[RunResult]| {
        let seconds = runs.iter().map(|run| run.wall_seconds);
        seconds.fold(0.0, f64::max)
    };
    let [alone_seconds, together_seconds] = [&alone, &together].map(|runs| slowest(runs));
    let same_hash = alone[0].parameter_hash == together[0].parameter_hash;
    let ratio = together_seconds / alone_seconds;
    let hash = if same_hash {
        "the same hash"
    } else {
        "ANOTHER HASH"
    };
    print(&format!(
        "flame-m, {scoring} scoring, {steps} steps: one seed {alone_seconds:.1} s, {SEEDS} at once {together_seconds:.1} s ({ratio:.2} times), {hash}"
    ))?;
    Ok(Seeds {
        scoring,
        seeds: SEEDS,
        steps,
        alone_seconds,
        together_seconds,
        same_hash,
    })
}

/// Trains the seeds from 0 to `last` at once, with settings beside those of the command line.
fn train(
    args: &DeviceReportArgs,
    algo: &str,
    steps: u64,
    last: u64,
    (settings, out): (&[String], &Path),
) -> anyhow::Result<Vec<RunResult>> {
    if out.exists() {
        bail!(
            "{} is there already: remove it, or give another --out",
            out.display()
        );
    }
    let env = args.env.as_deref().unwrap_or(ENV);
    let mut command = Command::new(std::env::current_exe()?);
    command.args(["train", algo, "--env", env, "--device", "cuda"]);
    command
        .args(["--steps", &steps.to_string()])
        .args(["--seeds", &format!("0..{last}"), "--out"])
        .arg(out);
    let given = args.run_settings.iter();
    let given = given.map(|(key, value)| format!("{key}={value}"));
    for setting in given.chain(settings.iter().cloned()) {
        command.args(["--set", &setting]);
    }
    let status = command.stdout(Stdio::null()).status()?;
    if !status.success() {
        bail!("the run of {algo} on {env} ended with {status}; --steps 0 leaves it out");
    }
    let read = |seed: u64| {
        let result = out.join(format!("{algo}-{env}-s{seed}")).join(RESULT_FILE);
        let text = std::fs::read_to_string(&result)
            .with_context(|| format!("cannot read {}", result.display()))?;
        serde_json::from_str(&text).with_context(|| format!("cannot read {}", result.display()))
    };
    (0..=last).map(read).collect()
}
