//! What the tests share.
#![allow(dead_code, reason = "each test file uses a part")]

pub mod reference;

/// Whether a missing MuJoCo is a failure.
pub fn mujoco_is_required() -> bool {
    std::env::var_os("ADVECT_REQUIRE_MUJOCO").is_some_and(|value| value == "1")
}

/// Whether MuJoCo is here; says so if not, and fails if it is required.
#[cfg(feature = "mujoco")]
pub fn mujoco_is_here() -> bool {
    match advect_envs::mujoco::Installation::locate() {
        Ok(_) => true,
        Err(missing) if mujoco_is_required() => panic!("{missing}"),
        Err(missing) => {
            println!("skipped: {missing}");
            false
        }
    }
}
