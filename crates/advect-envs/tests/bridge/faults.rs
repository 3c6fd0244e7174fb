//! Servers that crash, hang, or break the protocol.

use std::ffi::OsString;
use std::time::{Duration, Instant};

use advect_envs::bridge::{Bridge, BridgeConfig, BridgeError, OnCrash, Timeouts};
use advect_envs::{Env, EnvError, VecEnv};
use advect_rng::Stream;

use crate::support::{fault, greeting_config, kill, point_config, python_is_here, run, start};

fn short(config: BridgeConfig) -> BridgeConfig {
    let time = Duration::from_millis(300);
    BridgeConfig {
        timeouts: Timeouts {
            reset: time,
            step: time,
            ..config.timeouts
        },
        ..config
    }
}

fn restarting(id: &str, max_restarts: u32) -> BridgeConfig {
    BridgeConfig {
        on_crash: OnCrash::Restart,
        max_restarts,
        ..point_config(id)
    }
}

/// The failure of the first episode of `id`.
fn failure(id: &str) -> BridgeError {
    let (_bridge, mut env) = start(point_config(id));
    fault(run(&mut env, 0).unwrap_err())
}

#[test]
fn a_program_that_is_not_there_is_named() {
    let config = BridgeConfig::gym("Pendulum-v1", Some("no-such-python".into()));
    let error = Bridge::start(config).unwrap_err();
    let text = error.to_string();
    assert!(
        matches!(fault(error), BridgeError::Start { program, .. } if program == "no-such-python")
    );
    assert!(
        text.contains("gym:Pendulum-v1") && text.contains("ADVECT_PYTHON"),
        "{text}"
    );
}

#[test]
fn a_program_that_ends_at_once_is_reported_with_status_and_stderr() {
    let script = "echo one >&2; echo cannot run >&2; exit 4";
    let arguments = ["-c", script].map(OsString::from);
    let error = Bridge::start(BridgeConfig::server("A", "sh", arguments)).unwrap_err();
    let BridgeError::Exited {
        doing: "start",
        status,
        stderr,
    } = fault(error)
    else {
        panic!("another failure");
    };
    assert!(status.contains('4') && stderr.ends_with("cannot run"));
}

#[test]
fn an_end_is_noticed_although_a_child_holds_the_output_open() {
    let arguments = ["-c", "sleep 8 & exit 4"].map(OsString::from);
    let before = Instant::now();
    let error = fault(Bridge::start(BridgeConfig::server("A", "sh", arguments)).unwrap_err());
    assert!(
        matches!(&error, BridgeError::Exited { status, .. } if status.contains('4')),
        "{error}"
    );
    assert!(before.elapsed() < Duration::from_secs(6));
}

#[test]
fn bad_greetings_are_typed_errors() {
    if !python_is_here() {
        return;
    }
    for (mode, wanted) in [
        ("garbage", "Welcome to the simulator"),
        ("version", "version 7"),
        ("magic", "OTHERPRO"),
    ] {
        let error = fault(Bridge::start(greeting_config(mode)).unwrap_err());
        assert!(matches!(error, BridgeError::Handshake { .. }), "{error}");
        assert!(error.to_string().contains(wanted), "{error}");
    }
    let error = fault(Bridge::start(greeting_config("deaf")).unwrap_err());
    assert!(
        matches!(error, BridgeError::Exited { doing: "start", .. }),
        "{error}"
    );
    let silent = BridgeConfig {
        timeouts: Timeouts {
            start: Duration::from_millis(500),
            ..Timeouts::default()
        },
        ..greeting_config("silent")
    };
    let error = fault(Bridge::start(silent).unwrap_err());
    assert!(
        matches!(error, BridgeError::Timeout { doing: "start", .. }),
        "{error}"
    );
}

#[test]
fn a_crash_is_reported_with_status_and_stderr_and_stays() {
    if !python_is_here() {
        return;
    }
    let (bridge, mut env) = start(point_config("Exit-v0"));
    let error = run(&mut env, 0).unwrap_err();
    let BridgeError::Exited {
        doing: "step",
        status,
        stderr,
    } = fault(error.clone())
    else {
        panic!("another failure");
    };
    assert!(status.contains('3'), "{status}");
    assert_eq!(stderr, "first line\nthe wheels came off");
    assert_eq!(env.step(&[0.0], &mut [0.0; 2]), Err(error.clone()));
    assert_eq!(run(&mut env, 0), Err(error.clone()));
    assert_eq!(bridge.make().unwrap_err(), error);
}

#[test]
fn a_killed_process_is_reported_with_its_signal() {
    if !python_is_here() {
        return;
    }
    let (bridge, mut env) = start(point_config("Point-v0"));
    let mut obs = [0.0; 2];
    env.reset(&mut Stream::new(0, "a"), &mut obs).unwrap();
    kill(&bridge);
    let error = env.step(&[0.0], &mut obs).unwrap_err();
    assert!(
        matches!(fault(error), BridgeError::Exited { status, .. } if status.contains("signal: 9"))
    );
}

#[test]
fn exceptions_carry_their_traceback() {
    if !python_is_here() {
        return;
    }
    let error = failure("Raise-v0");
    assert!(
        matches!(
            error,
            BridgeError::Exception {
                doing: "step",
                env: 0,
                ..
            }
        ),
        "{error}"
    );
    assert!(
        error.to_string().ends_with("RuntimeError: out of fuel"),
        "{error}"
    );
}

#[test]
fn nothing_waits_forever() {
    if !python_is_here() {
        return;
    }
    for (id, at) in [("SlowReset-v0", "reset"), ("SlowStep-v0", "step")] {
        let (_bridge, mut env) = start(short(point_config(id)));
        let before = Instant::now();
        let error = fault(run(&mut env, 0).unwrap_err());
        assert!(before.elapsed() < Duration::from_secs(10));
        assert!(
            matches!(error, BridgeError::Timeout { doing, .. } if doing == at),
            "{error}"
        );
    }
}

#[test]
fn broken_frames_are_typed_errors() {
    if !python_is_here() {
        return;
    }
    for (id, at, wanted) in [
        ("ShortReset-v0", "reset", "8 bytes instead of 16"),
        ("Huge-v0", "step", "4294967280 bytes instead of 25"),
        ("WrongKind-v0", "step", "kind 131 came instead of 132"),
        ("BadFlags-v0", "step", "flags are 9"),
        ("Chatty-v0", "step", "4 bytes came behind"),
        ("BadError-v0", "step", "2 bytes instead of 8"),
    ] {
        let error = failure(id);
        assert!(
            matches!(error, BridgeError::Protocol { doing, .. } if doing == at),
            "{error}"
        );
        assert!(error.to_string().contains(wanted), "{error}");
    }
    let error = failure("Half-v0");
    assert!(
        matches!(error, BridgeError::Exited { doing: "step", .. }),
        "{error}"
    );
}

#[test]
fn a_restart_truncates_the_episodes_of_the_process() {
    if !python_is_here() {
        return;
    }
    let (bridge, mut env) = start(restarting("Exit-v0", 2));
    let mut other = bridge.make().unwrap();
    let (mut obs, mut last) = ([0.0; 2], [0.0; 2]);
    other.reset(&mut Stream::new(9, "b"), &mut last).unwrap();
    let steps = run(&mut env, 0).unwrap();
    assert_eq!(steps.len(), 3);
    let (second, third) = (&steps[1], &steps[2]);
    assert!(third.1.truncated && !third.1.terminated && third.1.reward == 0.0);
    assert_eq!(third.0, second.0, "the last observation once more");
    let step = other.step(&[0.1], &mut obs).unwrap();
    assert!(step.truncated && obs == last);
    assert_eq!(bridge.crashes().len(), 1);
    assert_eq!(run(&mut env, 0).unwrap(), steps, "a new episode runs");
    let error = fault(run(&mut env, 0).unwrap_err());
    assert!(
        matches!(error, BridgeError::Restarts { count: 2, .. }),
        "{error}"
    );
    assert!(error.to_string().contains("the wheels came off"), "{error}");
}

#[test]
fn a_vector_outlives_a_killed_process() {
    if !python_is_here() {
        return;
    }
    let bridge = Bridge::start(restarting("Point-v0", 5)).unwrap();
    let mut envs = VecEnv::new(|_| Ok(Box::new(bridge.make()?)), 3, 1, 0).unwrap();
    let mut out = envs.buffers();
    envs.reset(&mut out).unwrap();
    envs.step(&[0.5; 3], &mut out).unwrap();
    let before = out.obs.clone();
    kill(&bridge);
    envs.step(&[0.5; 3], &mut out).unwrap();
    assert_eq!(
        (out.truncated.clone(), out.terminated.clone()),
        (vec![true; 3], vec![false; 3])
    );
    assert_eq!((&out.final_obs, &out.reward), (&before, &vec![0.0; 3]));
    assert_ne!(out.obs, out.final_obs, "new episodes have begun");
    envs.step(&[0.5; 3], &mut out).unwrap();
    assert_eq!(out.truncated, [false; 3]);
    let crashes = bridge.crashes();
    assert!(
        matches!(crashes.as_slice(), [BridgeError::Exited { .. }]),
        "{crashes:?}"
    );
}

#[test]
fn a_reset_that_keeps_failing_ends_after_the_allowed_restarts() {
    if !python_is_here() {
        return;
    }
    let config = restarting("SlowReset-v0", 1);
    let (_bridge, mut env) = start(short(config));
    let error: EnvError = run(&mut env, 0).unwrap_err();
    assert!(matches!(
        fault(error),
        BridgeError::Restarts { count: 1, .. }
    ));
}
