//! What fine-tuning does to a policy that knows several good ways to act.

use super::{TASKS, policy, run_dir};
use crate::command::again::{step, words};
use crate::command::pictures::POLICY_FILE;
use crate::command::print;
use advect::plot::{sheet, write_svg};
use advect::rl::RunConfig;
use advect::{multi_goal, presets};
use anyhow::Context;
use std::path::{Path, PathBuf};

/// The algorithm of the base policy, the one that fine-tunes it, and the one of the unimodal policy beside it.
const BASE: &str = "flow-bc";
const TUNING: &str = "rldt";
const UNIMODAL: &str = "sac";
/// The picture of the policy in the middle of its fine-tuning.
const HALF_WAY_FILE: &str = "policy-half-way.svg";

/// Draws a policy before, in the middle of and after fine-tuning, beside a unimodal policy, for every task.
pub(super) fn run(out: &Path) -> anyhow::Result<()> {
    for (env, _) in TASKS {
        let mut pictures = stages(out, env)?;
        pictures.push(policy(out, UNIMODAL, env)?);
        let path = out.join(format!("{env}-fine-tuning.svg"));
        write_svg(&path, &sheet(&pictures, 2))?;
        print(&format!("{env}: {}", path.display()))?;
    }
    Ok(())
}

/// The pictures of the base policy, and of the policy half way and at the end; what is there is not made again.
fn stages(out: &Path, env: &str) -> anyhow::Result<Vec<String>> {
    let base = run_dir(out, BASE, env);
    train(
        out,
        BASE,
        env,
        &format!("data='{}'", demonstrations(out, env)?.display()),
        None,
    )?;
    let tuned = run_dir(out, TUNING, env);
    let from = format!("pretrained='{}'", base.display());
    let half_way = tuned.join(HALF_WAY_FILE);
    let steps = RunConfig::from_toml(presets::find(TUNING, env, Some(presets::TUNED))?)?.steps;
    if !half_way.is_file() {
        train(out, TUNING, env, &from, Some(steps / 2))?;
        std::fs::copy(tuned.join(POLICY_FILE), &half_way)
            .with_context(|| format!("cannot write {}", half_way.display()))?;
    }
    train(out, TUNING, env, &from, Some(steps))?;
    let files = [base.join(POLICY_FILE), half_way, tuned.join(POLICY_FILE)];
    let read = |path: PathBuf| {
        std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    files.into_iter().map(read).collect()
}

/// The file of demonstrations that take every good way.
fn demonstrations(out: &Path, env: &str) -> anyhow::Result<PathBuf> {
    let set = match env {
        multi_goal::ID => "multi-goal",
        _ => "two-modes",
    };
    let file = out.join(format!("{set}.hdf5"));
    if !file.is_file() {
        let mut command = words(&format!("demos {set} --out"));
        command.push(out.display().to_string());
        step(&command)?;
    }
    Ok(file)
}

/// Trains with the tuned preset and one more setting, or goes on, to `steps` or to the end.
fn train(
    out: &Path,
    algo: &str,
    env: &str,
    setting: &str,
    steps: Option<u64>,
) -> anyhow::Result<()> {
    let mut command = words(&format!(
        "train {algo} --env {env} --preset tuned --resume --quiet --out"
    ));
    command.push(out.join("runs").display().to_string());
    command.extend(["--set".into(), setting.into()]);
    if let Some(steps) = steps {
        command.extend(["--steps".into(), steps.to_string()]);
    }
    step(&command)
}
