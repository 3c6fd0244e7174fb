//! Episodes recorded as data.

use advect_envs::EnvSpec;
use advect_envs::data::{Builder, Dataset};
use advect_rng::Stream;
use candle_core::Device;

use crate::acting::choose;
use crate::agent::{ActMode, Agent};
use crate::error::TrainError;
use crate::eval::{EnvFactory, Episode};

/// Chooses an action for one observation, in units in which the environment's box is `[-1, 1]^d`.
pub type Behaviour<'a> = dyn FnMut(&EnvSpec, Vec<f32>) -> Result<Vec<f32>, TrainError> + 'a;

/// An agent's actions.
pub fn by_agent<'a>(
    agent: &'a mut dyn Agent,
    mode: ActMode,
    device: &'a Device,
) -> Box<Behaviour<'a>> {
    Box::new(move |spec, obs| choose(agent, spec, obs, mode, device))
}

/// Uniform random actions.
pub fn by_chance(mut stream: Stream) -> Box<Behaviour<'static>> {
    Box::new(move |spec, _| {
        let mut act = vec![0.0; spec.act_dim];
        stream.fill_uniform_range(-1.0, 1.0, &mut act);
        Ok(act)
    })
}

/// Records `episodes` episodes, one after the other; actions are in the environment's own units.
///
/// First states come from `Stream::new(seed, "collect")`, a fork for each episode. `on_episode` hears of every one that ended: its
/// index and return.
///
/// # Errors
/// What the environment or the behaviour reports; an observation or a reward that is not finite.
pub fn collect(
    make: &EnvFactory,
    episodes: usize,
    seed: u64,
    behave: &mut Behaviour,
    on_episode: &mut dyn FnMut(usize, f64),
) -> Result<Dataset, TrainError> {
    let seeds = Stream::new(seed, "collect");
    let mut builder: Option<Builder> = None;
    for index in 0..episodes {
        let mut episode = Episode::start(make, &seeds, index)?;
        let spec = episode.env.spec().clone();
        let builder =
            builder.get_or_insert_with(|| Builder::new(&spec.id, spec.obs_dim, spec.act_dim));
        let mut obs = single(&episode.obs);
        while !episode.done {
            let act = behave(&spec, obs.clone())?;
            let step = episode.step(&act)?;
            let next_obs = single(&episode.obs);
            let reward = step.reward as f32;
            builder.push(&obs, &episode.action, reward, &next_obs, step.terminated);
            obs = next_obs;
        }
        builder.end_episode();
        on_episode(index, episode.total);
    }
    Ok(builder.map(Builder::finish).unwrap_or_default())
}

fn single(values: &[f64]) -> Vec<f32> {
    values.iter().map(|value| *value as f32).collect()
}
