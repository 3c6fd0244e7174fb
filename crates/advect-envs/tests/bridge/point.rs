//! What a well-behaved server's environments do.

use advect_envs::bridge::{Bridge, BridgeConfig, BridgeError, Pool};
use advect_envs::{Env, EnvError, StepBuffers, VecEnv, make};
use advect_rng::Stream;

use crate::support::{fault, point_config, python_is_here, run, start};

#[test]
fn spec_and_episode_come_from_the_server() {
    if !python_is_here() {
        return;
    }
    let (_bridge, mut env) = start(point_config("Point-v0"));
    let spec = env.spec().clone();
    assert_eq!(
        (spec.id.as_str(), spec.obs_dim, spec.act_dim),
        ("Point-v0", 2, 1)
    );
    assert_eq!((spec.act_low, spec.act_high), (vec![-1.0], vec![1.0]));
    assert_eq!(
        (spec.max_episode_steps, spec.reward_threshold),
        (Some(20), None)
    );
    let steps = run(&mut env, 0).unwrap();
    assert_eq!(steps.len(), 20);
    let (obs, last) = steps.last().unwrap();
    assert!(last.truncated && !last.terminated);
    assert_eq!(last.reward, -obs[0] * obs[0]);
    let mut obs = [0.0; 2];
    let error = env.step(&[0.0], &mut obs).unwrap_err();
    assert!(matches!(error, EnvError::NeedsReset { .. }), "{error}");
    let error = env.step(&[0.0, 1.0], &mut obs).unwrap_err();
    assert!(
        matches!(error, EnvError::BadLength { what: "action", .. }),
        "{error}"
    );
}

#[test]
fn arguments_reach_the_environment_and_goals_the_spec() {
    if !python_is_here() {
        return;
    }
    let config = BridgeConfig {
        arguments: "{\"gain\": 100.0}".to_owned(),
        ..point_config("Goal-v0")
    };
    let (_bridge, mut env) = start(config);
    let goal = env.spec().goal.clone().unwrap();
    assert_eq!((goal.achieved, goal.desired), (2..3, 3..4));
    let steps = run(&mut env, 0).unwrap();
    assert!(steps.len() < 3 && steps.last().unwrap().1.terminated);
    let (obs, _) = &steps[0];
    assert_eq!((obs[2], obs[3]), (obs[0], 0.5));
}

#[test]
fn the_first_state_comes_from_the_stream() {
    if !python_is_here() {
        return;
    }
    let (_bridge, mut env) = start(point_config("Point-v0"));
    let first = run(&mut env, 1).unwrap();
    assert_eq!(first, run(&mut env, 1).unwrap());
    assert_ne!(first, run(&mut env, 2).unwrap());
}

fn rollout(envs: &mut VecEnv) -> Vec<StepBuffers> {
    let mut out = envs.buffers();
    envs.reset(&mut out).unwrap();
    let mut rng = Stream::new(3, "actions");
    let mut actions = vec![0.0; envs.len()];
    let mut step = || {
        rng.fill_uniform_range(-1.0, 1.0, &mut actions);
        envs.step(&actions, &mut out).unwrap();
        out.clone()
    };
    (0..50).map(|_| step()).collect()
}

/// However environments are spread over processes and threads, they return the same.
#[test]
fn sharing_a_process_changes_nothing() {
    if !python_is_here() {
        return;
    }
    let vector = |per_process, threads| {
        let pool = Pool::new(point_config("Point-v0"), per_process);
        let vector = VecEnv::new(|_| Ok(Box::new(pool.make()?)), 5, threads, 7).unwrap();
        (pool.bridges().len(), vector)
    };
    let (processes, mut alone) = vector(1, 1);
    assert_eq!(processes, 5);
    let expected = rollout(&mut alone);
    for (per_process, threads, wanted) in [(5, 1, 1), (2, 1, 3), (5, 2, 1), (3, 3, 2)] {
        let (processes, mut shared) = vector(per_process, threads);
        assert_eq!(processes, wanted);
        assert_eq!(
            rollout(&mut shared),
            expected,
            "{per_process} per process, {threads} threads"
        );
    }
}

#[test]
fn announced_steps_are_the_same_steps() {
    if !python_is_here() {
        return;
    }
    let (bridge, mut one) = start(point_config("Point-v0"));
    let mut two = bridge.make().unwrap();
    let (mut obs_1, mut obs_2) = ([0.0; 2], [0.0; 2]);
    one.reset(&mut Stream::new(0, "a"), &mut obs_1).unwrap();
    two.reset(&mut Stream::new(0, "b"), &mut obs_2).unwrap();
    let (x_1, x_2) = (obs_1[0], obs_2[0]);
    one.announce(&[0.5]);
    two.announce(&[-0.5]);
    two.step(&[-0.5], &mut obs_2).unwrap();
    // the other environment's answer waits while this one goes on
    two.step(&[-0.5], &mut obs_2).unwrap();
    let error = one.step(&[0.25], &mut obs_1).unwrap_err();
    assert!(error.to_string().contains("announced"), "{error}");
    one.step(&[0.5], &mut obs_1).unwrap();
    assert!((obs_1[0] - x_1 - 0.05).abs() < 1e-12 && (obs_2[0] - x_2 + 0.1).abs() < 1e-12);
    // a reset forgets an announcement
    one.announce(&[0.5]);
    one.reset(&mut Stream::new(0, "a"), &mut obs_1).unwrap();
    assert_eq!(obs_1, [x_1, 0.0]);
}

#[test]
fn places_of_dropped_environments_are_used_again() {
    if !python_is_here() {
        return;
    }
    let pool = Pool::new(point_config("Point-v0"), 2);
    let (first, second) = (pool.make().unwrap(), pool.make().unwrap());
    drop(first);
    let mut third = pool.make().unwrap();
    assert_eq!((pool.bridges().len(), pool.bridges()[0].live()), (1, 2));
    assert_eq!(run(&mut third, 0).unwrap().len(), 20);
    let _fourth = pool.make().unwrap();
    assert_eq!(pool.bridges().len(), 2);
    drop(second);
}

#[test]
fn the_process_ends_with_its_last_environment() {
    if !python_is_here() {
        return;
    }
    let (bridge, env) = start(point_config("Point-v0"));
    let folder = format!("/proc/{}", bridge.process_id().unwrap());
    drop(bridge);
    let proc = std::path::Path::new("/proc/self").exists();
    assert_eq!(std::path::Path::new(&folder).exists(), proc);
    drop(env);
    assert!(
        !std::path::Path::new(&folder).exists(),
        "neither running nor a zombie"
    );
}

#[test]
fn environments_that_cannot_be_made_say_why() {
    if !python_is_here() {
        return;
    }
    let error = |id| {
        let bridge = Bridge::start(point_config(id)).unwrap();
        let error = bridge.make().unwrap_err();
        assert!(bridge.is_broken());
        error.to_string()
    };
    let text = error("Absent-v0");
    assert!(
        text.contains("the bridge to Absent-v0") && text.contains("no task Absent-v0"),
        "{text}"
    );
    let text = error("Discrete-v0");
    assert!(
        text.contains("action space Discrete(4)") && text.contains("supported"),
        "{text}"
    );
    let text = error("Billions-v0");
    assert!(text.contains("2147483648 numbers"), "{text}");
    let (bridge, _env) = start(point_config("Uneven-v0"));
    let text = fault(bridge.make().unwrap_err()).to_string();
    assert!(text.contains("different"), "{text}");
}

/// With gymnasium the id is unknown, without it nothing can be made: the same kind of error.
#[test]
fn ids_of_gymnasium_go_to_python() {
    if !python_is_here() {
        return;
    }
    let Err(error) = make("gym:NoSuchTask-v0") else {
        panic!("it was made");
    };
    assert!(error.to_string().contains("gym:NoSuchTask-v0"), "{error}");
    let error = fault(error);
    assert!(matches!(error, BridgeError::Refused { .. }), "{error}");
}
