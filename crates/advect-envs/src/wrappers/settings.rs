//! Wrappers that an id asks for.

use super::{ActionChunk, ActionRepeat, FrameStack, PixelObs};
use crate::options::Options;
use crate::{Env, EnvError};

/// Settings whose environments observe or act otherwise than the task inside; a hand-written expert knows only that.
pub(crate) const RESHAPING: [&str; 3] = ["pixels", "frame_stack", "action_chunk"];

/// Puts the wrappers that `options` ask for around `env`, from the inside to the outside: `action_repeat`, `pixels` (frames of so many
/// rows and columns, 0 for none), `frame_stack`, `action_chunk`.
pub(crate) fn wrapped(
    mut env: Box<dyn Env>,
    options: &mut Options,
) -> Result<Box<dyn Env>, EnvError> {
    let repeat = options.take("action_repeat", 1)?;
    let pixels = options.take("pixels", 0)?;
    let stack = options.take("frame_stack", 1)?;
    let chunk = options.take("action_chunk", 1)?;
    if repeat != 1 {
        env = Box::new(ActionRepeat::new(env, repeat)?);
    }
    if pixels != 0 {
        env = Box::new(PixelObs::new(env, pixels, pixels)?);
    }
    if stack != 1 {
        env = Box::new(FrameStack::new(env, stack)?);
    }
    if chunk != 1 {
        env = Box::new(ActionChunk::new(env, chunk)?);
    }
    Ok(env)
}
