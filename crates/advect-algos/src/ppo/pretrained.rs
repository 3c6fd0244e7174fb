//! What training begins from: a run of behaviour cloning.

use std::path::Path;

use advect_rl::{EnvSpec, TrainError};
use serde::Serialize;

use super::learner::Learner;
use crate::pretrained::Origin;

/// The networks in a state of behaviour cloning.
pub(super) const PARAMS: &str = "actor_critic/params";

/// Settings of the networks that must agree.
#[derive(Serialize)]
struct Widths<'a> {
    hidden: &'a [usize],
}

/// Reads networks and normaliser of the run at `path` into the learner.
///
/// # Errors
/// [`TrainError::Run`] if there is no run or no whole checkpoint; [`TrainError::Invalid`] with what does not fit: algorithm, environment, hidden widths, size
/// of the networks.
pub(super) fn load(path: &Path, env: &EnvSpec, learner: &mut Learner) -> Result<(), TrainError> {
    let (origin, run, state) = Origin::open(path, "bc", env)?;
    let hidden = toml::Table::try_from(Widths {
        hidden: learner.hidden(),
    });
    let hidden = hidden.map_err(|e| origin.unreadable("widths", e))?;
    origin.check_settings(&run, &hidden)?;
    let found = state.vec::<f32>(PARAMS);
    let found = found.map_err(|e| origin.unreadable("networks", e))?.len();
    let fix = "take the observations and actions that it was trained on";
    origin.check_width(
        "number of parameters",
        found,
        learner.params().layout().len(),
        fix,
    )?;
    let begun = learner.begin_from(&state);
    begun.map_err(|e| origin.unreadable("state", e))
}
