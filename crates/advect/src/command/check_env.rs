//! `advect check-env`.

use super::args::CheckEnvArgs;
use super::print;
use advect::env_source::EnvSource;
use advect::envs::check::{CheckSettings, check};

/// `advect check-env`: tries out what a learner relies on; a broken rule is an error.
pub fn run(args: &CheckEnvArgs) -> anyhow::Result<()> {
    let source = EnvSource::new(&args.id, args.python.as_deref());
    let settings = CheckSettings {
        seed: args.seed,
        steps: args.steps,
        ..CheckSettings::default()
    };
    let report = check(|| source.make(), settings)?;
    print(&report.to_string())?;
    anyhow::ensure!(report.is_passed(), "{} breaks a rule, see above", args.id);
    Ok(())
}
