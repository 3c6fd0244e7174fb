//! The pictures of a run directory.

use advect::plot::{PlotError, learning_curve, write_svg};
use advect::rl::{Agent, RunConfig, Trainer};
use advect::{bandit, compose, curves, multi_goal};
use anyhow::Context;
use candle_core::Device;
use std::path::Path;

/// Name of the learning curve in a run directory.
pub const CURVE_FILE: &str = "curve.svg";
/// Name of the picture of a policy in a run directory.
pub const POLICY_FILE: &str = "policy.svg";

/// Draws everything that there is of a run; one line for each picture.
pub fn draw_all(trainer: &mut Trainer) -> anyhow::Result<Vec<String>> {
    let config = trainer.run_dir().config().clone();
    let run = trainer.run_dir().path().to_owned();
    // the agent's own: another one, opened anew, would be another stream
    let device = trainer.device().clone();
    let mut lines = vec![draw_curve(&run, &config)?];
    let (svg, summary) = match config.env.as_str() {
        multi_goal::ID => draw_goals(&config, trainer.agent(), &device)?,
        bandit::ID => draw_bandit(&config, trainer.agent(), &device)?,
        _ => return Ok(lines),
    };
    let path = run.join(POLICY_FILE);
    write_svg(&path, &svg)?;
    lines.push(format!("policy: {} ({summary})", path.display()));
    Ok(lines)
}

/// Draws the learning curve of a run.
pub fn draw_curve(run: &Path, config: &RunConfig) -> anyhow::Result<String> {
    let curve = curves::of_run(run, &config.algo)?;
    match learning_curve(&title(config), &[curve]) {
        Err(error @ PlotError::Empty { .. }) => return Ok(format!("no learning curve: {error}")),
        svg => write_svg(&run.join(CURVE_FILE), &svg?)?,
    }
    Ok(format!(
        "learning curve: {}",
        run.join(CURVE_FILE).display()
    ))
}

/// Picture and summary of a policy on the multi-goal plane.
fn draw_goals(
    config: &RunConfig,
    agent: &mut dyn Agent,
    device: &Device,
) -> anyhow::Result<(String, String)> {
    let mut sampler = compose::unranked(config, agent, device)?;
    let unranked = sampler.as_mut().map(|sampler| sampler.as_mut());
    let behaviour = multi_goal::Behaviour::observe(agent, unranked, config.seed, device)
        .context("cannot draw the policy")?;
    let reached = behaviour.goals_reached();
    let goals = reached.iter().filter(|&&n| n > 0).count();
    let summary = format!(
        "{goals} of 4 goals reached, {} of {} episodes",
        reached.iter().sum::<usize>(),
        behaviour.trajectories.len()
    );
    let svg = behaviour.draw(&format!("{}: {summary}", title(config)))?;
    Ok((svg, summary))
}

/// Picture and summary of a policy on the two-mode bandit: its samples, before anything chooses among them.
fn draw_bandit(
    config: &RunConfig,
    agent: &dyn Agent,
    device: &Device,
) -> anyhow::Result<(String, String)> {
    let mut sampler = compose::sampler(config, agent, device)?;
    let behaviour =
        bandit::Behaviour::observe(sampler.as_mut(), device).context("cannot draw the policy")?;
    let [lower, higher] = behaviour.mode_shares();
    let summary = format!(
        "{:.0} % near -0.6, {:.0} % near 0.6, mean reward {:.2}",
        1e2 * lower,
        1e2 * higher,
        behaviour.mean_reward()
    );
    let svg = behaviour.draw(&format!("{}: {summary}", config.algo))?;
    Ok((svg, summary))
}

fn title(config: &RunConfig) -> String {
    format!("{} on {}, seed {}", config.algo, config.env, config.seed)
}
