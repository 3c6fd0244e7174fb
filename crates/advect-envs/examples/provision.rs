//! Fetches MuJoCo and the model files: what `cargo xtask setup mujoco` does, for users of this crate alone.

use advect_envs::{EnvError, mujoco};

fn main() -> Result<(), EnvError> {
    mujoco::provision(&mut |line| println!("{line}")).map(|_| ())
}
