//! The pictures of a run directory.

use advect::multi_goal::{self, Behaviour};
use advect::plot::{PlotError, learning_curve, write_svg};
use advect::rl::{Agent, RunConfig};
use advect::{compose, curves, device};
use anyhow::Context;
use std::path::Path;

/// Name of the learning curve in a run directory.
pub const CURVE_FILE: &str = "curve.svg";
/// Name of the picture of a policy in a run directory.
pub const POLICY_FILE: &str = "policy.svg";

/// Draws everything that there is of a run; one line for each picture.
pub fn draw_all(
    run: &Path,
    config: &RunConfig,
    agent: &mut dyn Agent,
) -> anyhow::Result<Vec<String>> {
    let mut lines = vec![draw_curve(run, config)?];
    if config.env == multi_goal::ID {
        lines.push(draw_policy(run, config, agent)?);
    }
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

fn draw_policy(run: &Path, config: &RunConfig, agent: &mut dyn Agent) -> anyhow::Result<String> {
    let device = device::open(&config.device)?;
    let mut sampler = compose::unranked(config, agent, &device)?;
    let unranked = sampler.as_mut().map(|sampler| sampler.as_mut());
    let behaviour = Behaviour::observe(agent, unranked, config.seed, &device)
        .context("cannot draw the policy")?;
    let reached = behaviour.goals_reached();
    let goals = reached.iter().filter(|&&n| n > 0).count();
    let summary = format!(
        "{goals} of 4 goals reached, {} of {} episodes",
        reached.iter().sum::<usize>(),
        behaviour.trajectories.len()
    );
    write_svg(
        &run.join(POLICY_FILE),
        &behaviour.draw(&format!("{}: {summary}", title(config)))?,
    )?;
    Ok(format!(
        "policy: {} ({summary})",
        run.join(POLICY_FILE).display()
    ))
}

fn title(config: &RunConfig) -> String {
    format!("{} on {}, seed {}", config.algo, config.env, config.seed)
}
