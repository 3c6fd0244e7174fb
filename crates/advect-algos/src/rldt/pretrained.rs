//! The pretrained policy: read from its run, checked against what fine-tunes it.

use std::path::Path;

use advect_rl::{Averaged, EnvSpec, StateDict, TrainError, checkpoint, run_dir};
use toml::Table;

use super::config::RldtConfig;
use crate::flow_actor::FlowActor;
use crate::registry::to_table;

/// What says that a state is of a pretrained flow policy.
const WEIGHTS: &str = "policy/target";

/// Reads the averaged weights of the run at `path` into policy and reference, and its bounds into the actor.
///
/// # Errors
/// [`TrainError::Run`] if there is no run or no whole checkpoint; [`TrainError::Invalid`] with the field that does not fit: algorithm,
/// environment, length of a chunk, bounds of the data, a setting of the network.
pub fn load(
    path: &Path,
    config: &RldtConfig,
    env: &EnvSpec,
    actor: &mut FlowActor,
    policy: &mut Averaged,
) -> Result<(), TrainError> {
    let run = run_dir::read_config(path)?;
    let refuse = |field: &str, found: String, expected: String| TrainError::Invalid {
        what: format!("pretrained = {}", path.display()),
        problem: format!("its {field} is {found}, this run's {expected}"),
        fix: format!("pretrain with the same {field}, or set it to {found} here"),
    };
    if run.algo != super::PRETRAINING {
        return Err(refuse("algo", run.algo, super::PRETRAINING.into()));
    }
    let (_, state) = checkpoint::load_agent(path, None)?;
    check_width(
        "observation width",
        "bounds/obs/low",
        env.obs_dim,
        &state,
        refuse,
    )?;
    check_width(
        "chunk's width",
        "bounds/act/low",
        env.act_dim,
        &state,
        refuse,
    )?;
    check_network(&run.agent, config, refuse)?;
    let bounds_missing = |source| {
        refuse(
            "normaliser",
            format!("unreadable ({source})"),
            "min and max of the data".into(),
        )
    };
    actor.load(&state).map_err(bounds_missing)?;
    let weights = |params| {
        state.load_params(WEIGHTS, params).map_err(|source| {
            refuse(
                "network",
                format!("another ({source})"),
                "as configured".into(),
            )
        })
    };
    weights(policy.online.params())?;
    Ok(policy.update_average(1.0)?)
}

/// Compares the width of an entry with that of the environment.
fn check_width(
    field: &str,
    entry: &str,
    expected: usize,
    state: &StateDict,
    refuse: impl Fn(&str, String, String) -> TrainError,
) -> Result<(), TrainError> {
    match state.vec::<f32>(entry) {
        Ok(values) if values.len() == expected => Ok(()),
        Ok(values) => Err(refuse(
            field,
            values.len().to_string(),
            expected.to_string(),
        )),
        Err(_) => Err(refuse(
            "normaliser",
            "missing".into(),
            "min and max of the data".into(),
        )),
    }
}

/// Compares the settings of the network one by one.
fn check_network(
    theirs: &Table,
    config: &RldtConfig,
    refuse: impl Fn(&str, String, String) -> TrainError,
) -> Result<(), TrainError> {
    let ours = to_table(super::NAME, &config.network).map_err(|e| TrainError::Invalid {
        what: "network".into(),
        problem: e.to_string(),
        fix: "mend the configuration".into(),
    })?;
    let differs = |(key, value): &(&String, &toml::Value)| theirs.get(*key) != Some(*value);
    match ours.iter().find(differs) {
        None => Ok(()),
        Some((key, value)) => {
            let found = theirs
                .get(key)
                .map_or("missing".into(), ToString::to_string);
            Err(refuse(key, found, value.to_string()))
        }
    }
}
