//! Controllers written by hand, which demonstrations are made with.

mod fetch;
#[cfg(feature = "mujoco")]
mod hand;
#[cfg(feature = "mujoco")]
mod kitchen;
mod maze2d;
mod modes;

use crate::EnvError;
use crate::options::Options;
use crate::wrappers::RESHAPING;

/// A controller written by hand, for one task.
pub trait Expert: Send {
    /// Forgets the last episode.
    fn reset(&mut self);

    /// Writes the action `[act_dim]` for the observation `[obs_dim]`, in the units of the spec's bounds.
    ///
    /// # Errors
    /// [`EnvError::BadLength`], or [`EnvError::BadSetting`] for a state that the task cannot be in.
    fn act(&mut self, obs: &[f64], action: &mut [f32]) -> Result<(), EnvError>;
}

/// The expert of an id without settings, if the family has one for it.
type Family = fn(&str) -> Option<Box<dyn Expert>>;

/// Who has experts.
const FAMILIES: &[Family] = &[
    maze2d::expert,
    modes::expert,
    fetch::expert,
    #[cfg(feature = "mujoco")]
    kitchen::expert,
    #[cfg(feature = "mujoco")]
    hand::expert,
];

/// The ids that have an expert.
pub fn ids() -> Vec<&'static str> {
    let mut ids = crate::ids();
    ids.retain(|id| of_base(id).is_some());
    ids
}

/// The expert of the environment `id`, with or without settings, if there is one; it acts on the environment's observations.
///
/// # Errors
/// [`EnvError::BadSetting`] for settings that are none, and for those of wrappers that change what is observed or how actions are given.
pub fn expert(id: &str) -> Result<Option<Box<dyn Expert>>, EnvError> {
    unless(id, &RESHAPING)
}

/// As [`expert`] for whoever gives it the state that frames show, see [`Env::state_obs`](crate::Env::state_obs): frames, and stacks of
/// them, are no obstacle.
///
/// # Errors
/// As [`expert`] for the other settings.
pub fn expert_of_state(id: &str) -> Result<Option<Box<dyn Expert>>, EnvError> {
    let (_, options) = Options::split(id)?;
    match options.has("pixels") {
        true => unless(id, &["action_chunk"]),
        false => expert(id),
    }
}

/// The expert of `id`, which must have none of these settings.
fn unless(id: &str, refused: &[&'static str]) -> Result<Option<Box<dyn Expert>>, EnvError> {
    let (base, options) = Options::split(id)?;
    if let Some(name) = refused.iter().find(|name| options.has(name)) {
        let problem = "is nothing that an expert knows; ask for the expert without it".to_owned();
        return Err(options.bad(name, problem));
    }
    Ok(of_base(base))
}

fn of_base(id: &str) -> Option<Box<dyn Expert>> {
    FAMILIES.iter().find_map(|family| family(id))
}
