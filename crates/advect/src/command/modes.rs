//! `advect modes`: which of several equally good ways to act a policy keeps.

mod fine_tuning;

use super::again::{step, words};
use super::pictures::POLICY_FILE;
use super::print;
use advect::plot::{sheet, write_svg};
use advect::ring::Behaviour;
use advect::rl::RunConfig;
use advect::{bandit, multi_goal, presets};
use anyhow::Context;
use candle_core::Device;
use clap::Args;
use std::path::{Path, PathBuf};

/// The algorithms that are compared where none is named.
const ALGOS: [&str; 4] = ["fmer", "flame-m", "qvpo", "sac"];
/// The tasks, and how many of their pictures stand beside each other.
const TASKS: [(&str, usize); 2] = [(bandit::ID, 4), (multi_goal::ID, 2)];

/// Steps of teacher and discriminator on the ring.
const RING_STEPS: usize = 3000;

/// Arguments of `modes`.
#[derive(Debug, Args)]
pub struct ModesArgs {
    /// Algorithms with a `tuned` preset for both tasks, see `advect presets` [default: fmer flame-m qvpo sac]
    pub algos: Vec<String>,
    /// Instead, show what fine-tuning does: a pretrained flow policy, the same half way and at the end of RLDT, and a cloned Gaussian before and after PPO beside it
    #[arg(long, conflicts_with = "algos")]
    pub fine_tuning: bool,
    /// Instead, show FM-IRL on a ring in the plane of state and action: samples of the teacher, level lines of the discriminator
    #[arg(long, conflicts_with_all = ["algos", "fine_tuning"])]
    pub ring: bool,
    /// Folder of the runs and of the pictures
    #[arg(long, value_name = "DIR", default_value = "modes")]
    pub out: PathBuf,
}

/// `advect modes`: trains each algorithm on the two-mode bandit and on the multi-goal plane, and puts the pictures of the policies
/// side by side.
pub fn run(args: &ModesArgs) -> anyhow::Result<()> {
    if args.ring {
        return ring(&args.out);
    }
    if args.fine_tuning {
        return fine_tuning::run(&args.out);
    }
    let named: Vec<&str> = args.algos.iter().map(String::as_str).collect();
    let algos = if named.is_empty() { &ALGOS[..] } else { &named };
    for (env, _) in TASKS {
        let tuned = |algo: &&str| presets::find(algo, env, Some(presets::TUNED)).map(drop);
        algos.iter().try_for_each(tuned)?;
    }
    for (env, columns) in TASKS {
        let pictures = algos.iter().map(|algo| policy(&args.out, algo, env));
        let pictures = pictures.collect::<anyhow::Result<Vec<_>>>()?;
        let path = args.out.join(format!("{env}.svg"));
        write_svg(&path, &sheet(&pictures, columns))?;
        print(&format!("{env}: {}", path.display()))?;
    }
    Ok(())
}

/// Draws FM-IRL's teacher and discriminator on the ring.
fn ring(out: &Path) -> anyhow::Result<()> {
    std::fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    let learnt = Behaviour::learn(RING_STEPS, 0, &Device::Cpu)?;
    let path = out.join("ring.svg");
    write_svg(
        &path,
        &learnt.draw("FM-IRL on a ring: logits -0.3, 0 (thick) and 0.3")?,
    )?;
    print(&format!(
        "{:.0} % of the teacher's samples lie on the ring; logits: {:.2} on it, {:.2} at its centre; {}",
        100.0 * learnt.share_on_ring(),
        learnt.mean_logit_on_ring(),
        learnt.logit(0.0, 0.0),
        path.display()
    ))
}

/// Trains, or goes on training, and reads the picture of the policy.
fn policy(out: &Path, algo: &str, env: &str) -> anyhow::Result<String> {
    let mut command = words(&format!(
        "train {algo} --env {env} --preset tuned --resume --quiet --out"
    ));
    command.push(out.join("runs").display().to_string());
    step(&command)?;
    let picture = run_dir(out, algo, env).join(POLICY_FILE);
    std::fs::read_to_string(&picture).with_context(|| format!("cannot read {}", picture.display()))
}

fn run_dir(out: &Path, algo: &str, env: &str) -> PathBuf {
    let config = RunConfig {
        algo: algo.into(),
        env: env.into(),
        ..RunConfig::default()
    };
    out.join("runs").join(config.run_name())
}
