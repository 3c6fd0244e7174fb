//! Environments around environments: several actions a step, several observations at once, frames as observations.
//!
//! They keep what the learner relies on: an episode that ends inside a step ends it there, the observation then is the
//! episode's last one, and saved states continue to the same bits. Time limits count the steps of the environment inside.
//!
//! [`make`](crate::make) puts them around any environment: `ID@action_repeat=2,pixels=84,frame_stack=3,action_chunk=4`, always in this
//! order from the inside to the outside. A frame is then drawn once for each repeated action, the stack holds frames, and a chunk
//! is a chunk of repeated actions.

mod action_chunk;
mod action_repeat;
mod frame_stack;
mod pixel_obs;
mod settings;

pub use action_chunk::ActionChunk;
pub use action_repeat::ActionRepeat;
pub use frame_stack::FrameStack;
pub use pixel_obs::PixelObs;
pub(crate) use settings::{RESHAPING, wrapped};

use crate::{Env, EnvError, EnvSpec, Step};

/// Takes the actions one after the other until the episode ends; rewards are added.
fn step_through<'a, E: Env>(
    env: &mut E,
    actions: impl Iterator<Item = &'a [f32]>,
    obs: &mut [f64],
) -> Result<Step, EnvError> {
    let mut total = Step::running(0.0);
    for action in actions {
        let step = env.step(action, obs)?;
        total = Step {
            reward: total.reward + step.reward,
            ..step
        };
        if step.is_last() {
            break;
        }
    }
    Ok(total)
}

/// The spec of an environment that takes `count` steps of `spec` at a time.
fn every(spec: &EnvSpec, count: usize) -> EnvSpec {
    let count = u32::try_from(count).unwrap_or(u32::MAX);
    EnvSpec {
        max_episode_steps: spec.max_episode_steps.map(|limit| limit.div_ceil(count)),
        ..spec.clone()
    }
}

/// Refuses a count of zero.
fn at_least_one(env: &impl Env, what: &'static str, count: usize) -> Result<(), EnvError> {
    if count > 0 {
        return Ok(());
    }
    Err(EnvError::BadSetting {
        id: env.spec().id.clone(),
        what,
        problem: "is 0; give at least 1".to_owned(),
    })
}
