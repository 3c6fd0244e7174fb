//! Servers for the tests.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use advect_envs::bridge::{Bridge, BridgeConfig, BridgeError, BridgedEnv, Timeouts};
use advect_envs::{Env, EnvError, Step};
use advect_rng::Stream;

use crate::common::mujoco_is_required;

/// Whether a Python is here; says so if not, and fails where everything is required.
pub fn python_is_here() -> bool {
    let here = Command::new("python3").arg("--version").output().is_ok();
    assert!(here || !mujoco_is_required(), "python3 is missing");
    if !here {
        println!("skipped: python3 is missing");
    }
    here
}

/// The server of the standard library, which makes `id`.
pub fn point_config(id: &str) -> BridgeConfig {
    config_of("point_server.py", id, None)
}

/// The same, misbehaving in its greeting as `mode` says.
pub fn greeting_config(mode: &str) -> BridgeConfig {
    config_of("point_server.py", "Point-v0", Some(mode))
}

fn config_of(script: &str, id: &str, mode: Option<&str>) -> BridgeConfig {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/bridge")
        .join(script);
    let arguments = [script.into_os_string()].into_iter();
    BridgeConfig {
        timeouts: Timeouts {
            start: Duration::from_secs(20),
            reset: Duration::from_secs(20),
            step: Duration::from_secs(20),
        },
        ..BridgeConfig::server(id, "python3", arguments.chain(mode.map(OsString::from)))
    }
}

pub fn start(config: BridgeConfig) -> (Bridge, BridgedEnv) {
    let bridge = Bridge::start(config).unwrap();
    let env = bridge.make().unwrap();
    (bridge, env)
}

/// Starts an episode, and takes steps with the action 0.5 until one fails or ends the episode.
pub fn run(env: &mut BridgedEnv, seed: u64) -> Result<Vec<(Vec<f64>, Step)>, EnvError> {
    let mut obs = vec![0.0; env.spec().obs_dim];
    let action = vec![0.5; env.spec().act_dim];
    env.reset(&mut Stream::new(seed, "test"), &mut obs)?;
    let mut steps = Vec::new();
    loop {
        let step = env.step(&action, &mut obs)?;
        steps.push((obs.clone(), step));
        if step.is_last() {
            return Ok(steps);
        }
    }
}

/// The failure of the bridge in an error.
pub fn fault(error: EnvError) -> BridgeError {
    match error {
        EnvError::Bridge { fault, .. } => fault,
        other => panic!("not of the bridge: {other}"),
    }
}

pub fn kill(bridge: &Bridge) {
    let id = bridge.process_id().unwrap().to_string();
    assert!(
        Command::new("kill")
            .args(["-9", &id])
            .status()
            .unwrap()
            .success()
    );
}
