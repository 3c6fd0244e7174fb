//! The pretrained policy: read from its run, checked against what fine-tunes it.

use std::path::Path;

use advect_rl::{Averaged, EnvSpec, RunConfig, StateDict, TrainError, checkpoint, run_dir};
use serde::Serialize;

use super::config::RldtConfig;
use crate::flow_actor::{FlowActor, IMAGE};
use crate::registry::to_table;

/// The averaged weights in a state of the pretraining.
const WEIGHTS: &str = "policy/target";

/// The pretraining's run, for messages about what does not fit.
struct Origin<'a> {
    path: &'a Path,
}

impl Origin<'_> {
    fn misfit(&self, field: &str, found: &str, expected: &str, fix: &str) -> TrainError {
        TrainError::Invalid {
            what: format!("pretrained = {}", self.path.display()),
            problem: format!("its {field} is {found}, this run's {expected}"),
            fix: fix.into(),
        }
    }

    fn unreadable(&self, field: &str, problem: impl std::fmt::Display) -> TrainError {
        TrainError::Invalid {
            what: format!("pretrained = {}", self.path.display()),
            problem: format!("its {field} cannot be used: {problem}"),
            fix: "pretrain again with this version".into(),
        }
    }
}

/// Reads the averaged weights of the run at `path` into policy and reference, and its bounds into the actor.
///
/// # Errors
/// [`TrainError::Run`] if there is no run or no whole checkpoint; [`TrainError::Invalid`] with the field that does not fit: algorithm,
/// environment, size of frames, width of observations or of a chunk, bounds of the data, a setting of the network.
pub fn load(
    path: &Path,
    config: &RldtConfig,
    env: &EnvSpec,
    actor: &mut FlowActor,
    policy: &mut Averaged,
) -> Result<(), TrainError> {
    let (origin, run) = (Origin { path }, run_dir::read_config(path)?);
    check_run(&origin, &run, env)?;
    let (_, state) = checkpoint::load_agent(path, None)?;
    check_image(&origin, &state, actor)?;
    check_widths(&origin, &state, [actor.obs.width(), env.act_dim])?;
    check_network(&origin, &run, &config.network)?;
    if actor.encoder.image().is_some() {
        check_network(&origin, &run, &config.image)?;
    }
    actor
        .load(&state)
        .map_err(|e| origin.unreadable("normaliser", e))?;
    state
        .load_params(WEIGHTS, policy.online.params())
        .map_err(|e| origin.unreadable("network", e))?;
    Ok(policy.update_average(1.0)?)
}

/// An environment's id without its settings.
fn base(id: &str) -> &str {
    id.split('@').next().unwrap_or(id)
}

fn check_run(origin: &Origin, run: &RunConfig, env: &EnvSpec) -> Result<(), TrainError> {
    if run.algo != super::PRETRAINING {
        let fix = "give a run that `advect pretrain flow` made";
        return Err(origin.misfit("algo", &run.algo, super::PRETRAINING, fix));
    }
    if base(&run.env) != base(&env.id) {
        let fix = "fine-tune in the environment of the demonstrations";
        return Err(origin.misfit("environment", base(&run.env), base(&env.id), fix));
    }
    Ok(())
}

/// Frames of the same sizes, or none on both sides.
fn check_image(origin: &Origin, state: &StateDict, actor: &FlowActor) -> Result<(), TrainError> {
    let told = |sizes: Option<&[u64]>| match sizes {
        Some(sizes) => format!("{sizes:?}"),
        None => "none".to_owned(),
    };
    let own = actor.encoder.image().map(|sizes| sizes.map(|n| n as u64));
    let own = told(own.as_ref().map(<[u64; 3]>::as_slice));
    let found = told(state.vec::<u64>(IMAGE).ok());
    if found == own {
        return Ok(());
    }
    let fix = "take the same `pixels` and `frame_stack` in the environment's id";
    Err(origin.misfit("image size", &found, &own, fix))
}

fn check_widths(
    origin: &Origin,
    state: &StateDict,
    [obs, act]: [usize; 2],
) -> Result<(), TrainError> {
    let fields = [
        (
            "observation width",
            "bounds/obs/low",
            obs,
            "take the observations that it was pretrained on",
        ),
        (
            "chunk's width",
            "bounds/act/low",
            act,
            "take the same `action_chunk` in the environment's id",
        ),
    ];
    for (field, entry, expected, fix) in fields {
        let bounds = state.vec::<f32>(entry);
        let found = bounds
            .map_err(|e| origin.unreadable("normaliser", e))?
            .len();
        if found != expected {
            let (found, expected) = (found.to_string(), expected.to_string());
            return Err(origin.misfit(field, &found, &expected, fix));
        }
    }
    Ok(())
}

/// Compares the settings of the network one by one.
fn check_network(
    origin: &Origin,
    run: &RunConfig,
    network: &impl Serialize,
) -> Result<(), TrainError> {
    let ours = to_table(super::NAME, network);
    let ours = ours.map_err(|e| origin.unreadable("network", e))?;
    for (key, expected) in &ours {
        let found = run.agent.get(key);
        if found != Some(expected) {
            let found = found.map_or("missing".into(), ToString::to_string);
            let fix = format!("set {key} to {found} here, or pretrain with {expected}");
            return Err(origin.misfit(key, &found, &expected.to_string(), &fix));
        }
    }
    Ok(())
}
