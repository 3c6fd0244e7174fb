//! The script for Gymnasium, in the private environment that `scripts/mujoco_reference.py` makes.

use std::ffi::OsString;
use std::path::PathBuf;

use advect_envs::bridge::{Bridge, BridgeConfig, BridgeError, PYTHON_VARIABLE, gym};
use advect_envs::embedded::Pendulum;
use advect_envs::{Env, EnvError, VecEnv, make};
use advect_rng::Stream;

use crate::support::{fault, kill, run};

/// The Python of the private environment, if it is there.
fn python() -> Option<OsString> {
    let cache = std::env::var_os("XDG_CACHE_HOME")
        .filter(|cache| !cache.is_empty())
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache")))?;
    let found = std::fs::read_dir(cache.join("advect"))
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with("gymnasium-"))
        })
        .map(|path| path.join("bin/python"))
        .find(|python| python.exists());
    if found.is_none() {
        println!("skipped: no gymnasium here; python3 scripts/mujoco_reference.py installs it");
    }
    found.map(PathBuf::into_os_string)
}

#[test]
fn pendulum_agrees_with_the_embedded_one() {
    let Some(python) = python() else { return };
    let mut theirs = gym("Pendulum-v1", Some(python)).unwrap();
    let spec = theirs.spec().clone();
    let mut ours = Pendulum::new();
    assert_eq!(spec.id, "gym:Pendulum-v1");
    assert_eq!(spec.max_episode_steps, Some(200));
    assert_eq!(
        (spec.obs_dim, &spec.act_low, &spec.act_high),
        (
            ours.spec().obs_dim,
            &ours.spec().act_low,
            &ours.spec().act_high
        )
    );
    let (mut obs, mut our_obs) = ([0.0; 3], [0.0; 3]);
    theirs.reset(&mut Stream::new(4, "a"), &mut obs).unwrap();
    ours.set_state(obs[1].atan2(obs[0]), obs[2], &mut our_obs);
    let mut rng = Stream::new(4, "actions");
    for taken in 1..=200 {
        let mut action = [0.0];
        rng.fill_uniform_range(-2.0, 2.0, &mut action);
        let step = theirs.step(&action, &mut obs).unwrap();
        let our_step = ours.step(&action, &mut our_obs).unwrap();
        // its observations are rounded to f32, and so is the state that began the episode
        let near = |a: f64, b: f64| (a - b).abs() < 1e-3;
        assert!(
            obs.iter().zip(our_obs).all(|(a, b)| near(*a, b)),
            "{taken}: {obs:?} {our_obs:?}"
        );
        assert!(near(step.reward, our_step.reward), "{taken}");
        assert_eq!((step.terminated, step.truncated), (false, taken == 200));
    }
}

/// Runs itself again with the variable that names the Python.
#[test]
fn settings_behind_an_id_wrap_it() {
    const AGAIN: &str = "ADVECT_TEST_GYM_SETTINGS";
    let Some(python) = python() else { return };
    if std::env::var_os(AGAIN).is_none() {
        let mut again = std::process::Command::new(std::env::current_exe().unwrap());
        again.args(["--exact", "gymnasium::settings_behind_an_id_wrap_it"]);
        again.env(AGAIN, "1").env(PYTHON_VARIABLE, python);
        let output = again.output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        let passed = output.status.success() && text.contains("1 passed");
        return assert!(passed, "{text}");
    }
    let id = "gym:Pendulum-v1@max_episode_steps=7,action_repeat=2,frame_stack=2";
    let mut envs = VecEnv::new(|_| make(id), 2, 2, 0).unwrap();
    assert_eq!((&*envs.spec().id, envs.spec().obs_dim), (id, 6));
    assert_eq!(envs.spec().max_episode_steps, Some(4));
    let mut out = envs.buffers();
    envs.reset(&mut out).unwrap();
    for step in 1..=8 {
        envs.step(&[0.5; 2], &mut out).unwrap();
        assert_eq!(out.truncated, [step % 4 == 0; 2]);
        assert_eq!(out.terminated, [false; 2]);
    }
    let error = make("gym:Pendulum-v1@noise=1").err().unwrap();
    assert!(matches!(error, EnvError::BadSetting { .. }), "{error}");
}

#[test]
fn mountain_car_runs_in_a_shared_process_and_resumes() {
    let Some(python) = python() else { return };
    let vector = |seed| {
        let config = BridgeConfig::gym("MountainCarContinuous-v0", Some(python.clone()));
        let bridge = Bridge::start(config).unwrap();
        let mut envs = VecEnv::new(|_| Ok(Box::new(bridge.make()?)), 4, 1, seed).unwrap();
        envs.reset(&mut envs.buffers()).unwrap();
        envs
    };
    let mut envs = vector(0);
    assert_eq!(envs.spec().max_episode_steps, Some(999));
    let mut out = envs.buffers();
    let mut ended = 0;
    for _ in 0..1100 {
        // pushes along its velocity, which climbs the hill
        let actions: Vec<f32> = envs.obs().chunks_exact(2).map(|o| o[1].signum()).collect();
        envs.step(&actions, &mut out).unwrap();
        ended += out.terminated.iter().filter(|t| **t).count();
    }
    assert!(ended >= 4, "{ended}");
    let mut resumed = vector(1);
    resumed.load_state(&envs.save_state()).unwrap();
    let mut again = envs.buffers();
    envs.step(&[1.0; 4], &mut out).unwrap();
    resumed.step(&[1.0; 4], &mut again).unwrap();
    assert_eq!(out, again);
}

#[test]
fn a_killed_python_is_a_typed_error() {
    let Some(python) = python() else { return };
    let bridge = Bridge::start(BridgeConfig::gym("Pendulum-v1", Some(python))).unwrap();
    let mut env = bridge.make().unwrap();
    kill(&bridge);
    let error = run(&mut env, 0).unwrap_err();
    assert!(
        matches!(fault(error), BridgeError::Exited { doing: "reset", status, .. } if status.contains("signal: 9"))
    );
}

/// The failure of making `id` with `arguments`.
fn refusal(id: &str, arguments: &str, python: OsString) -> BridgeError {
    let config = BridgeConfig {
        arguments: arguments.to_owned(),
        ..BridgeConfig::gym(id, Some(python))
    };
    fault(Bridge::start(config).unwrap().make().unwrap_err())
}

#[test]
fn what_cannot_be_made_says_why() {
    let Some(python) = python() else { return };
    for (id, wanted) in [
        ("CartPole-v1", "action space Discrete(2)"),
        ("FrozenLake-v1", "observation space Discrete(16)"),
    ] {
        let error = refusal(id, "", python.clone());
        assert!(matches!(error, BridgeError::Space { .. }), "{error}");
        assert!(error.to_string().contains(wanted), "{error}");
    }
    for (id, arguments, wanted) in [
        ("NoSuchTask-v0", "", "NoSuchTask"),
        ("Pendulum-v1", "{\"colour\": 1}", "colour"),
        ("Pendulum-v1", "[1]", "no JSON object"),
        ("Pendulum-v1", "{", "no JSON object"),
    ] {
        let error = refusal(id, arguments, python.clone());
        assert!(matches!(error, BridgeError::Refused { .. }), "{error}");
        assert!(error.to_string().contains(wanted), "{error}");
    }
}

/// Environments in a file of Python, found by `module:id`.
const MODULE: &str = r#"
import gymnasium, numpy as np
from gymnasium.spaces import Box, Dict

class Odd(gymnasium.Env):
    observation_space = Box(0, 255, (2, 3), np.uint8)
    action_space = Box(-1.0, 1.0, (2, 2), np.float64)
    def reset(self, *, seed=None, options=None):
        self.taken = 0
        print("printed by the environment")
        return np.arange(6, dtype=np.uint8).reshape(2, 3), {}
    def step(self, action):
        assert action.shape == (2, 2) and action.dtype == np.float64
        self.taken += 1
        if self.taken == 2:
            raise ValueError("the bridge is out")
        return np.full((2, 3), 7, np.uint8), action[1, 0], False, False, {}

class Goal(gymnasium.Env):
    box = Box(-9.0, 9.0, (2,), np.float64)
    observation_space = Dict(observation=Box(-1.0, 1.0, (3,)), achieved_goal=box, desired_goal=box)
    action_space = Box(-1.0, 1.0, (1,))
    def reset(self, *, seed=None, options=None):
        return self.step(None)[0], {}
    def step(self, action):
        obs = dict(desired_goal=np.array([6.0, 7.0]), achieved_goal=np.array([4.0, 5.0]), observation=np.array([1, 2, 3]))
        return obs, 1.5, True, False, {}

class Wrong(Goal):
    def step(self, action):
        obs, *rest = super().step(action)
        return (obs | dict(observation=np.zeros(4)) if action is not None else obs, *rest)

for name, kind in dict(Odd=Odd, Goal=Goal, Wrong=Wrong).items():
    gymnasium.register(f"{name}-v0", entry_point=kind, max_episode_steps=5)
"#;

#[test]
fn spaces_are_flattened_and_exceptions_carry_the_traceback() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("odd_tasks.py"), MODULE).unwrap();
    // the process is given a path by its program, for the environment of this one is shared
    let make = |name: &str| {
        let gym = BridgeConfig::gym(&format!("odd_tasks:{name}-v0"), Some(python.clone()));
        let mut arguments = vec![
            OsString::from(format!("PYTHONPATH={}", folder.path().display())),
            gym.program.clone(),
        ];
        arguments.extend(gym.program_arguments.clone());
        let config = BridgeConfig {
            program: "env".into(),
            program_arguments: arguments,
            ..gym
        };
        Bridge::start(config).unwrap().make().unwrap()
    };
    let mut odd = make("Odd");
    let mut obs = [0.0; 6];
    odd.reset(&mut Stream::new(0, "a"), &mut obs).unwrap();
    assert_eq!(obs, [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
    let step = odd.step(&[0.0, 0.0, 0.25, 0.0], &mut obs).unwrap();
    assert_eq!((step.reward, obs), (0.25, [7.0; 6]));
    let error = fault(odd.step(&[0.0; 4], &mut obs).unwrap_err());
    assert!(matches!(error, BridgeError::Exception { .. }), "{error}");
    assert!(
        error.to_string().ends_with("ValueError: the bridge is out"),
        "{error}"
    );

    let mut goal = make("Goal");
    let layout = goal.spec().goal.clone().unwrap();
    assert_eq!((layout.achieved, layout.desired), (3..5, 5..7));
    let mut obs = [0.0; 7];
    goal.reset(&mut Stream::new(0, "a"), &mut obs).unwrap();
    assert_eq!(obs, [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]);
    let step = goal.step(&[0.0], &mut obs).unwrap();
    assert_eq!(
        (step.reward, step.terminated, step.truncated),
        (1.5, true, false)
    );

    let error = fault(run(&mut make("Wrong"), 0).unwrap_err());
    assert!(error.to_string().contains("[4, 2, 2]"), "{error}");
}

#[test]
fn a_python_without_gymnasium_says_so() {
    let config = BridgeConfig::gym("Pendulum-v1", Some("python3".into()));
    let mut config = BridgeConfig {
        // no site packages, no user's packages
        program_arguments: vec!["-I".into(), "-S".into()],
        ..config
    };
    config
        .program_arguments
        .extend(BridgeConfig::gym("", None).program_arguments);
    if !crate::support::python_is_here() {
        return;
    }
    let error = fault(Bridge::start(config).unwrap().make().unwrap_err());
    assert!(
        error.to_string().contains("cannot import gymnasium"),
        "{error}"
    );
}
