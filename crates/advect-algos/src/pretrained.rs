//! The pretrained policy: read from its run, checked against what fine-tunes it.

use std::path::Path;

use advect_rl::{EnvSpec, RunConfig, StateDict, TrainError, checkpoint, run_dir};
use serde::Serialize;

use crate::encoder::ImageNetwork;
use crate::flow_actor::{FlowActor, IMAGE};
use crate::flow_network::FlowNetwork;
use crate::registry::to_table;

/// The algorithm whose flow policies are fine-tuned.
const FLOW: &str = "flow-bc";
/// The averaged weights in a state of the pretraining.
const WEIGHTS: &str = "policy/target";

/// The pretraining's run, for messages about what does not fit.
pub(crate) struct Origin<'a> {
    path: &'a Path,
    algo: &'static str,
}

impl<'a> Origin<'a> {
    /// Settings and last state of the run at `path`.
    ///
    /// # Errors
    /// [`TrainError::Run`] if there is no run or no whole checkpoint; [`TrainError::Invalid`] if it is of another algorithm than `algo` or of another environment.
    pub(crate) fn open(
        path: &'a Path,
        algo: &'static str,
        env: &EnvSpec,
    ) -> Result<(Self, RunConfig, StateDict), TrainError> {
        let (origin, run) = (Self { path, algo }, run_dir::read_config(path)?);
        origin.check_run(&run, env)?;
        let (_, state) = checkpoint::load_agent(path, None)?;
        Ok((origin, run, state))
    }

    fn check_run(&self, run: &RunConfig, env: &EnvSpec) -> Result<(), TrainError> {
        if run.algo != self.algo {
            let fix = match self.algo {
                FLOW => "give a run that `advect pretrain flow` made",
                _ => "give a run of that algorithm",
            };
            return Err(self.misfit("algo", &run.algo, self.algo, fix));
        }
        if base(&run.env) != base(&env.id) {
            let fix = "fine-tune in the environment of the demonstrations";
            return Err(self.misfit("environment", base(&run.env), base(&env.id), fix));
        }
        Ok(())
    }

    /// Compares settings one by one with those of the run.
    pub(crate) fn check_settings(
        &self,
        run: &RunConfig,
        ours: &toml::Table,
    ) -> Result<(), TrainError> {
        for (key, expected) in ours {
            let found = run.agent.get(key);
            if found != Some(expected) {
                let found = found.map_or("missing".into(), ToString::to_string);
                let fix = format!("set {key} to {found} here, or pretrain with {expected}");
                return Err(self.misfit(key, &found, &expected.to_string(), &fix));
            }
        }
        Ok(())
    }

    /// Refuses a width of the run that is not this one's.
    pub(crate) fn check_width(
        &self,
        field: &str,
        found: usize,
        expected: usize,
        fix: &str,
    ) -> Result<(), TrainError> {
        match found == expected {
            true => Ok(()),
            false => Err(self.misfit(field, &found.to_string(), &expected.to_string(), fix)),
        }
    }

    fn misfit(&self, field: &str, found: &str, expected: &str, fix: &str) -> TrainError {
        TrainError::Invalid {
            what: format!("pretrained = {}", self.path.display()),
            problem: format!("its {field} is {found}, this run's {expected}"),
            fix: fix.into(),
        }
    }

    pub(crate) fn unreadable(&self, field: &str, problem: impl std::fmt::Display) -> TrainError {
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
/// environment, size of frames, width of observations or of a chunk, bounds of the data, a setting of the network.
pub fn load(
    path: &Path,
    network: &FlowNetwork,
    image: &ImageNetwork,
    env: &EnvSpec,
    actor: &mut FlowActor,
) -> Result<Vec<f32>, TrainError> {
    let (origin, run, state) = Origin::open(path, FLOW, env)?;
    check_image(&origin, &state, actor)?;
    check_widths(&origin, &state, [actor.obs.width(), env.act_dim])?;
    check_network(&origin, &run, network)?;
    if actor.encoder.image().is_some() {
        check_network(&origin, &run, image)?;
    }
    actor
        .load(&state)
        .map_err(|e| origin.unreadable("normaliser", e))?;
    let weights = state.array(WEIGHTS, &[actor.layout().len()]);
    Ok(weights
        .map_err(|e| origin.unreadable("network", e))?
        .to_vec())
}

/// An environment's id without its settings.
fn base(id: &str) -> &str {
    id.split('@').next().unwrap_or(id)
}

/// Compares the settings of a network one by one.
fn check_network(
    origin: &Origin,
    run: &RunConfig,
    network: &impl Serialize,
) -> Result<(), TrainError> {
    let ours = to_table(FLOW, network);
    origin.check_settings(run, &ours.map_err(|e| origin.unreadable("network", e))?)
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
        origin.check_width(field, found, expected, fix)?;
    }
    Ok(())
}
