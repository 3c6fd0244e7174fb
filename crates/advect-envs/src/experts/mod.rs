//! Controllers written by hand, which demonstrations are made with.

mod fetch;
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
];

/// The ids that have an expert.
pub fn ids() -> Vec<&'static str> {
    let mut ids = crate::ids();
    ids.retain(|id| of_base(id).is_some());
    ids
}

/// The expert of the environment `id`, with or without settings, if there is one. Where the environment shows frames, it acts on
/// [`Env::state_obs`](crate::Env::state_obs).
///
/// # Errors
/// [`EnvError::BadSetting`] for settings that are none, and for those of wrappers that change what is observed or how actions are given.
pub fn expert(id: &str) -> Result<Option<Box<dyn Expert>>, EnvError> {
    let (base, options) = Options::split(id)?;
    // with frames the state stays at hand, see `Env::state_obs`
    let allowed: &[&str] = match options.has("pixels") {
        true => &["pixels", "frame_stack"],
        false => &[],
    };
    let mut reshaping = RESHAPING.into_iter().filter(|name| !allowed.contains(name));
    if let Some(name) = reshaping.find(|name| options.has(name)) {
        let problem = "is nothing that an expert knows; ask for the expert without it".to_owned();
        return Err(options.bad(name, problem));
    }
    Ok(of_base(base))
}

fn of_base(id: &str) -> Option<Box<dyn Expert>> {
    FAMILIES.iter().find_map(|family| family(id))
}
