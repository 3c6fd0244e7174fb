//! `advect algos`, `advect envs`, `advect config`.

use super::args::ConfigArgs;
use super::print;
use advect::algos::registry;
use advect::compose::{self, Request};
use advect::presets::PRESETS;
use advect::rl::RunConfig;

/// `advect algos`: the names, one per line.
pub fn algos() -> anyhow::Result<()> {
    registry::names().iter().try_for_each(|name| print(name))
}

/// `advect presets`: those that change something, one per line.
pub fn presets() -> anyhow::Result<()> {
    PRESETS.iter().try_for_each(|preset| {
        let env = [preset.env, "any"][usize::from(preset.env.is_empty())];
        print(&format!(
            "{} {} {env}: {}",
            preset.algo,
            preset.name,
            preset.about()
        ))
    })
}

/// What an id may also be; printed beside the list, not in it.
const MORE_ENVS: &str = "more: FrankaKitchen-v1/TASK+TASK for any tasks, gym:ID for Gymnasium's ID in Python, ID@name=value,... for other settings";

/// `advect envs`: the ids, one per line.
pub fn envs() -> anyhow::Result<()> {
    advect::envs::ids().iter().try_for_each(|id| print(id))?;
    eprintln!("{MORE_ENVS}");
    Ok(())
}

/// `advect config`: a complete configuration that `train --config` takes.
pub fn config(args: &ConfigArgs) -> anyhow::Result<()> {
    let request = Request {
        algo: Some(args.algo.clone()),
        env: Some(args.env.clone()),
        preset: args.preset.clone(),
        ..Request::default()
    };
    let config = compose::configure(&request)?;
    print(commented(&config.to_toml()?, &config.algo).trim_end())
}

/// The configuration with the meaning of every key above it.
fn commented(toml: &str, algo: &str) -> String {
    let mut in_agent = false;
    let mut text = String::new();
    for line in toml.lines() {
        in_agent |= line == "[agent]";
        let key = line.split_once(" = ").map(|(key, _)| key);
        let meaning = key.and_then(|key| {
            if in_agent {
                registry::describe_key(algo, key)
            } else {
                RunConfig::describe(key)
            }
        });
        for comment in meaning.into_iter().flat_map(str::lines) {
            text.push_str(&format!("# {comment}\n"));
        }
        text.push_str(&format!("{line}\n"));
    }
    text
}
