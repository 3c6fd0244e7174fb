//! The pretrained policy: read from its run, checked against what fine-tunes it.

use std::path::Path;

use advect_rl::{EnvSpec, RunConfig, StateDict, TrainError, checkpoint, run_dir};

use crate::flow_actor::FlowActor;
use crate::flow_network::FlowNetwork;
use crate::registry::to_table;

/// The algorithm whose runs are fine-tuned.
const PRETRAINING: &str = "flow-bc";
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

/// The averaged weights of the run at `path`, in the order of the actor's network; its bounds go into the actor. The number of steps is
/// no setting of the network: the actor keeps its own.
///
/// # Errors
/// [`TrainError::Run`] if there is no run or no whole checkpoint; [`TrainError::Invalid`] with the field that does not fit: algorithm,
/// environment, width of observations or of a chunk, bounds of the data, a setting of the network.
pub fn load(
    path: &Path,
    network: &FlowNetwork,
    env: &EnvSpec,
    actor: &mut FlowActor,
) -> Result<Vec<f32>, TrainError> {
    let (origin, run) = (Origin { path }, run_dir::read_config(path)?);
    check_run(&origin, &run, env)?;
    let (_, state) = checkpoint::load_agent(path, None)?;
    check_widths(&origin, &state, env)?;
    check_network(&origin, &run, network)?;
    actor
        .load(&state)
        .map_err(|e| origin.unreadable("normaliser", e))?;
    let weights = state.array(WEIGHTS, &[actor.net.layout().len()]);
    Ok(weights
        .map_err(|e| origin.unreadable("network", e))?
        .to_vec())
}

/// An environment's id without its settings.
fn base(id: &str) -> &str {
    id.split('@').next().unwrap_or(id)
}

fn check_run(origin: &Origin, run: &RunConfig, env: &EnvSpec) -> Result<(), TrainError> {
    if run.algo != PRETRAINING {
        let fix = "give a run that `advect pretrain flow` made";
        return Err(origin.misfit("algo", &run.algo, PRETRAINING, fix));
    }
    if base(&run.env) != base(&env.id) {
        let fix = "fine-tune in the environment of the demonstrations";
        return Err(origin.misfit("environment", base(&run.env), base(&env.id), fix));
    }
    Ok(())
}

fn check_widths(origin: &Origin, state: &StateDict, env: &EnvSpec) -> Result<(), TrainError> {
    let fields = [
        (
            "observation width",
            "bounds/obs/low",
            env.obs_dim,
            "take the observations that it was pretrained on",
        ),
        (
            "chunk's width",
            "bounds/act/low",
            env.act_dim,
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
    network: &FlowNetwork,
) -> Result<(), TrainError> {
    let ours = to_table(PRETRAINING, network);
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
