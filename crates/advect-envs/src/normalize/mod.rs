//! Running normalisation of observations and rewards over all environments of a vector.
//!
//! The normalisers work on the [`StepBuffers`](crate::StepBuffers) of a [`VecEnv`](crate::VecEnv), on the calling thread and in the order
//! of the environments: results depend on neither the number of threads nor on shards, and a vector of one environment is no
//! special case. Actions, flags and the vector itself are never changed. What the [`VecEnv`](crate::VecEnv) saves is raw; a resumed run
//! loads the normalisers, too, and passes [`VecEnv::obs`](crate::VecEnv::obs) through [`NormalizeObs::apply`].

mod moments;
mod obs;
mod reward;

pub use moments::RunningMoments;
pub use obs::{NormalizeObs, NormalizeObsConfig};
pub use reward::{NormalizeReward, NormalizeRewardConfig};

use crate::EnvError;
use crate::state::StateReader;

/// Refuses a setting of the normaliser for `id` that is not `wanted`.
fn check_setting(
    id: &str,
    what: &'static str,
    value: f64,
    fits: bool,
    wanted: &str,
) -> Result<(), EnvError> {
    if fits {
        return Ok(());
    }
    Err(EnvError::BadSetting {
        id: id.to_owned(),
        what,
        problem: format!("is {value} and has to be {wanted}"),
    })
}

/// Checks what both normalisers have: a positive `eps` and a positive `clip`, which may be infinite.
fn check_bounds(id: &str, eps: f64, clip: f64) -> Result<(), EnvError> {
    let is_positive = eps > 0.0 && eps.is_finite();
    check_setting(id, "eps", eps, is_positive, "finite and above 0")?;
    check_setting(id, "clip", clip, clip > 0.0, "above 0")
}

/// Reads a flag.
fn flag(reader: &mut StateReader<'_>, what: &str) -> Result<bool, EnvError> {
    match reader.u8()? {
        0 => Ok(false),
        1 => Ok(true),
        other => Err(reader.bad(format!("the {what} flag is {other}"))),
    }
}
