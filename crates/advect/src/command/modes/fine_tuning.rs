//! What fine-tuning does to a policy that knows several good ways to act.

use super::{TASKS, run_dir};
use crate::command::again::{step, words};
use crate::command::pictures::POLICY_FILE;
use crate::command::print;
use advect::plot::{sheet, write_svg};
use advect::rl::RunConfig;
use advect::{multi_goal, presets};
use anyhow::Context;
use std::path::{Path, PathBuf};

/// How a policy is pretrained and fine-tuned.
struct Course {
    base: &'static str,
    tuning: &'static str,
    /// Whether the middle of the fine-tuning is shown.
    half_way: bool,
}

/// A flow policy, and a unimodal one beside it.
const COURSES: [Course; 2] = [
    Course {
        base: "flow-bc",
        tuning: "rldt",
        half_way: true,
    },
    Course {
        base: "bc",
        tuning: "ppo",
        half_way: false,
    },
];
/// The picture of the policy in the middle of its fine-tuning.
const HALF_WAY_FILE: &str = "policy-half-way.svg";

/// Draws policies before, in the middle of and after fine-tuning, a course a row, for every task.
pub(super) fn run(out: &Path) -> anyhow::Result<()> {
    for (env, _) in TASKS {
        let data = demonstrations(out, env)?;
        let rows = COURSES.iter().map(|course| course.stages(out, env, &data));
        let pictures = rows.collect::<anyhow::Result<Vec<_>>>()?.concat();
        let path = out.join(format!("{env}-fine-tuning.svg"));
        write_svg(&path, &sheet(&pictures, 3))?;
        print(&format!("{env}: {}", path.display()))?;
    }
    Ok(())
}

impl Course {
    /// The pictures of the base policy, and of the policy half way and at the end; what is there is not made again.
    fn stages(&self, out: &Path, env: &str, data: &Path) -> anyhow::Result<Vec<String>> {
        let data = format!("data='{}'", data.display());
        train(out, self.base, env, &data, None)?;
        let (base, tuned) = (run_dir(out, self.base, env), run_dir(out, self.tuning, env));
        let from = format!("pretrained='{}'", base.display());
        let mut files = vec![base.join(POLICY_FILE)];
        let preset = presets::find(self.tuning, env, Some(presets::TUNED))?;
        let steps = RunConfig::from_toml(preset)?.steps;
        if self.half_way {
            files.push(self.train_half(out, env, &from, steps / 2)?);
        }
        train(out, self.tuning, env, &from, Some(steps))?;
        files.push(tuned.join(POLICY_FILE));
        let read = |path: PathBuf| {
            std::fs::read_to_string(&path)
                .with_context(|| format!("cannot read {}", path.display()))
        };
        files.into_iter().map(read).collect()
    }

    /// The picture of the policy after `steps`, the middle of its fine-tuning.
    fn train_half(&self, out: &Path, env: &str, from: &str, steps: u64) -> anyhow::Result<PathBuf> {
        let tuned = run_dir(out, self.tuning, env);
        let half_way = tuned.join(HALF_WAY_FILE);
        if !half_way.is_file() {
            train(out, self.tuning, env, from, Some(steps))?;
            std::fs::copy(tuned.join(POLICY_FILE), &half_way)
                .with_context(|| format!("cannot write {}", half_way.display()))?;
        }
        Ok(half_way)
    }
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

/// Trains with the tuned preset and one more setting, or goes on, to `steps` or to the preset's end.
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
