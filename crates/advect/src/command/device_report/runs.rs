//! Whole runs on the GPU: one to its end, and a short one twice, which must have the same hash.

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

/// What the report holds of them.
#[derive(Serialize)]
pub(super) struct Runs {
    full: RunResult,
    /// Hashes of the short run, which are equal.
    hashes: [String; 2],
}

/// The runs, unless `--steps 0`.
pub(super) fn run(args: &DeviceReportArgs) -> anyhow::Result<Option<Runs>> {
    if args.steps == 0 {
        return Ok(None);
    }
    let folder = args.out.with_extension("runs");
    let hash = |name: &str| -> anyhow::Result<String> {
        let steps = SHORT.min(args.steps);
        Ok(train(args, "sac", steps, &folder.join(name))?.parameter_hash)
    };
    let hashes = [hash("first")?, hash("second")?];
    print(&match hashes[0] == hashes[1] {
        true => format!("two runs of SAC have the same hash {}", hashes[0]),
        false => format!("two runs of SAC DIFFER: {} and {}", hashes[0], hashes[1]),
    })?;
    let full = train(args, "flame-m", args.steps, &folder.join("full"))?;
    let mean = full.evaluation.as_ref().map_or(f64::NAN, |eval| eval.mean);
    print(&format!(
        "flame-m on {}: {} steps in {:.1} s, return {mean:.1}",
        full.env, full.env_steps, full.wall_seconds
    ))?;
    Ok(Some(Runs { full, hashes }))
}

fn train(args: &DeviceReportArgs, algo: &str, steps: u64, out: &Path) -> anyhow::Result<RunResult> {
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
        .args(["--steps", &steps.to_string(), "--out"])
        .arg(out);
    for (key, value) in &args.run_settings {
        command.args(["--set", &format!("{key}={value}")]);
    }
    let status = command.stdout(Stdio::null()).status()?;
    if !status.success() {
        bail!("the run of {algo} on {env} ended with {status}; --steps 0 leaves it out");
    }
    let result = out.join(format!("{algo}-{env}-s0")).join(RESULT_FILE);
    let text = std::fs::read_to_string(&result)
        .with_context(|| format!("cannot read {}", result.display()))?;
    serde_json::from_str(&text).with_context(|| format!("cannot read {}", result.display()))
}
