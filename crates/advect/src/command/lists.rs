//! `advect algos`, `advect envs`, `advect config`.

use super::args::ConfigArgs;
use super::{print, request_for};
use advect::compose;

pub fn algos() -> anyhow::Result<()> {
    advect::algos::registry::names()
        .iter()
        .try_for_each(|name| print(name))
}

pub fn envs() -> anyhow::Result<()> {
    advect::envs::ids().iter().try_for_each(|id| print(id))
}

pub fn config(args: &ConfigArgs) -> anyhow::Result<()> {
    let config = compose::configure(&request_for(&args.algo, &args.env))?;
    print(config.to_toml()?.trim_end())
}
