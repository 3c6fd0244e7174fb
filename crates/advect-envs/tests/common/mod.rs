//! What the tests share.
#![allow(dead_code, reason = "each test file uses a part")]

#[allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test")]
pub mod reference;
#[allow(clippy::unwrap_used, reason = "a failed test")]
pub mod rollout;

/// Whether a missing MuJoCo is a failure.
pub fn mujoco_is_required() -> bool {
    std::env::var_os("ADVECT_REQUIRE_MUJOCO").is_some_and(|value| value == "1")
}

/// Whether MuJoCo and the models of Gymnasium-Robotics are here; says so if not, and fails if they are required.
#[cfg(feature = "mujoco")]
pub fn robotics_is_here() -> bool {
    if !mujoco_is_here() || advect_envs::mujoco::is_provisioned() {
        return mujoco_is_here();
    }
    let missing = "Gymnasium-Robotics' models are not here; run: cargo xtask setup mujoco";
    assert!(!mujoco_is_required(), "{missing}");
    println!("skipped: {missing}");
    false
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
