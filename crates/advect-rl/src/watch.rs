//! Episodes that are only looked at.

use std::ops::ControlFlow;

use advect_envs::{Env, EnvError};
use advect_rng::Stream;

use crate::behaviour::{Behaviour, seen};
use crate::error::TrainError;
use crate::eval::{EnvFactory, Episode};

/// Looks at a state and says whether to go on.
pub type See<'a> = dyn FnMut(&dyn Env) -> Result<ControlFlow<()>, EnvError> + 'a;

/// Plays `episodes` episodes one after the other and shows `see` the environment in every state, until it has seen enough; returns
/// the returns of the episodes that ended.
///
/// First states are those of [`collect`](crate::collect::collect) with the same seed.
///
/// # Errors
/// What the environment, the behaviour or `see` reports.
pub fn watch(
    make: &EnvFactory,
    episodes: usize,
    seed: u64,
    behaviour: &mut dyn Behaviour,
    see: &mut See,
) -> Result<Vec<f64>, TrainError> {
    let seeds = Stream::new(seed, "collect");
    let mut returns = Vec::new();
    let mut env = make()?;
    for index in 0..episodes {
        let mut episode = Episode::start(env, &seeds, index)?;
        behaviour.begin();
        loop {
            let enough = see(episode.env.as_ref())?.is_break();
            if episode.done {
                returns.push(episode.total);
            }
            if enough {
                return Ok(returns);
            }
            if episode.done {
                break;
            }
            let spec = episode.env.spec().clone();
            let act = behaviour.act(&spec, seen(behaviour, episode.env.as_ref(), &episode.obs))?;
            episode.step(&act)?;
        }
        env = episode.env;
    }
    Ok(returns)
}
