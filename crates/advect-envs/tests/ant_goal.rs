//! `AntGoal-v0` beyond what a replay shows: first states, goals, success, rewards, saved states, settings.
#![cfg(feature = "mujoco")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test")]

mod common;

use advect_envs::check::{CheckSettings, check};
use advect_envs::mujoco::{AntGoal, AntGoalConfig};
use advect_envs::{Env, ids, make};
use advect_rng::Stream;

const OBS: usize = 132;
/// Where the first and the last coordinate of the way to the goal are observed.
const WAY: std::ops::Range<usize> = OBS - 2..OBS;

fn reset(env: &mut dyn Env, seed: u64) -> Vec<f64> {
    let mut obs = vec![0.0; OBS];
    env.reset(&mut Stream::new(seed, "ant"), &mut obs).unwrap();
    obs
}

/// An ant that begins `distance` in front of its goal.
fn near_the_goal(config: AntGoalConfig, distance: f64) -> AntGoal {
    let mut env = AntGoal::new(config).unwrap();
    let mut obs = reset(&mut env, 0);
    let (mut qpos, goal) = (env.data().qpos().to_vec(), env.goal());
    qpos[0] = goal[0] - distance;
    qpos[1] = goal[1];
    env.reset_to(&qpos, &[0.0; 20], goal, &mut obs).unwrap();
    env
}

#[test]
fn the_spec_is_fm_irls() {
    if !common::mujoco_is_here() {
        return;
    }
    assert!(ids().contains(&"AntGoal-v0"));
    let env = make("AntGoal-v0").unwrap();
    let spec = env.spec();
    assert_eq!((spec.obs_dim, spec.act_dim), (132, 8));
    assert_eq!(spec.max_episode_steps, Some(50));
    assert!(spec.goal.is_none(), "the goal is observed from the ant");
}

#[test]
fn an_episode_begins_at_the_origin_with_the_flag_at_the_goal() {
    if !common::mujoco_is_here() {
        return;
    }
    let mut env = AntGoal::new(AntGoalConfig::default()).unwrap();
    for seed in 0..20 {
        let obs = reset(&mut env, seed);
        let (qpos, goal) = (env.data().qpos(), env.goal());
        assert_eq!(qpos[..3], [0.0, 0.0, 0.55]);
        assert_eq!(qpos[15..17], goal);
        assert_eq!(obs[WAY], goal);
        assert_eq!(obs[..20], qpos[2..]);
        let fastest = env
            .data()
            .qvel()
            .iter()
            .fold(0.0_f64, |a, v| a.max(v.abs()));
        assert!((0.003..=0.005).contains(&fastest), "{fastest}");
        let upright = 0.5_f64.sqrt();
        assert!((qpos[18] - upright).abs() < 1e-12 && (qpos[19] - upright).abs() < 1e-12);
    }
}

#[test]
fn noise_moves_the_ant_and_not_the_goal() {
    if !common::mujoco_is_here() {
        return;
    }
    let first = |noise| {
        let mut env = make(&format!("AntGoal-v0@noise={noise}")).unwrap();
        reset(&mut *env, 4)
    };
    let (still, moved) = (first(0.0), first(0.1));
    let off = |i: usize| (moved[i] - still[i]).abs();
    let largest = (5..13).map(off).fold(0.0, f64::max);
    assert!((0.05..=0.1).contains(&largest), "{largest}");
    assert_eq!(moved[13..15], still[13..15], "the flag stands at the goal");
}

#[test]
fn success_is_kept_and_ends_nothing() {
    if !common::mujoco_is_here() {
        return;
    }
    let mut obs = [0.0; OBS];
    for (distance, reached) in [(0.3, true), (0.8, false)] {
        let mut env = near_the_goal(AntGoalConfig::default(), distance);
        assert_eq!(env.is_success(), Some(false), "only steps count");
        let step = env.step(&[0.0; 8], &mut obs).unwrap();
        assert!(!step.is_last());
        assert_eq!(env.is_success(), Some(reached), "{distance}");
        let state = env.save_state();
        assert_eq!(reset(&mut env, 1).len(), OBS);
        assert_eq!(env.is_success(), Some(false));
        env.load_state(&state).unwrap();
        assert_eq!(env.is_success(), Some(reached), "{distance}");
    }
}

#[test]
fn rewards_are_dense_or_sparse() {
    if !common::mujoco_is_here() {
        return;
    }
    let mut obs = [0.0; OBS];
    for (distance, sparse) in [(0.3, 1.0), (0.8, 0.0)] {
        let mut env = near_the_goal(AntGoalConfig::default(), distance);
        let reward = env.step(&[2.0; 8], &mut obs).unwrap().reward;
        // 1 - d - 0.005 |a|^2, the action as it was given
        let expected = 1.0 - obs[130].hypot(obs[131]) / 5.0 - 0.005 * 32.0;
        assert!((reward - expected).abs() < 1e-12, "{reward}");
        let config = AntGoalConfig {
            dense: false,
            ..AntGoalConfig::default()
        };
        let mut env = near_the_goal(config, distance);
        let reward = env.step(&[2.0; 8], &mut obs).unwrap().reward;
        assert_eq!(reward, sparse, "{distance}");
    }
}

#[test]
fn contact_forces_are_there_when_asked_for() {
    if !common::mujoco_is_here() {
        return;
    }
    for (id, touches) in [
        ("AntGoal-v0", false),
        ("AntGoal-v0@contact_forces=true", true),
    ] {
        let mut env = make(id).unwrap();
        let mut obs = reset(&mut *env, 0);
        let reward = (0..10).fold(0.0, |_, _| env.step(&[0.0; 8], &mut obs).unwrap().reward);
        let forces = &obs[40..130];
        assert_eq!(forces.iter().any(|f| *f != 0.0), touches);
        let cost: f64 = forces.iter().map(|f| 0.0005 * f * f).sum();
        let expected = 1.0 - obs[130].hypot(obs[131]) / 5.0 - cost;
        assert!((reward - expected).abs() < 1e-12, "{id}: {reward}");
    }
}

#[test]
fn a_saved_state_continues_with_the_same_bits() {
    if !common::mujoco_is_here() {
        return;
    }
    let id = "AntGoal-v0@noise=0.05,contact_forces=true";
    let rollout = |env: &mut dyn Env, rng: &mut Stream| {
        let (mut obs, mut action) = ([0.0; OBS], [0.0; 8]);
        let mut bits = Vec::new();
        for _ in 0..30 {
            rng.fill_uniform_range(-1.0, 1.0, &mut action);
            let step = env.step(&action, &mut obs).unwrap();
            bits.extend(obs.map(f64::to_bits));
            bits.push(step.reward.to_bits());
            if step.is_last() {
                env.reset(rng, &mut obs).unwrap();
            }
        }
        bits
    };
    let mut env = make(id).unwrap();
    reset(&mut *env, 5);
    let mut rng = Stream::new(6, "actions");
    rollout(&mut *env, &mut rng);
    let (state, stream) = (env.save_state(), rng.state());
    let expected = rollout(&mut *env, &mut rng);
    let mut copy = make(id).unwrap();
    copy.load_state(&state).unwrap();
    assert_eq!(copy.save_state(), state);
    assert_eq!(
        rollout(&mut *copy, &mut Stream::from_state(stream)),
        expected
    );
    assert!(copy.load_state(&state[1..]).is_err());
}

#[test]
fn the_checker_finds_nothing() {
    if !common::mujoco_is_here() {
        return;
    }
    let settings = CheckSettings {
        steps: 200,
        timing: std::time::Duration::from_millis(5),
        ..CheckSettings::default()
    };
    let report = check(|| make("AntGoal-v0@noise=0.03"), settings).unwrap();
    assert!(report.is_passed(), "{report}");
}

#[test]
fn settings_are_read_and_checked() {
    let refused = [
        ("AntGoal-v0@coverage=0.4", "0.25, 0.5, 0.75 or 1"),
        ("AntGoal-v0@noise=-1", "0 or more"),
        ("AntGoal-v0@nois=1", "knows noise, coverage, dense"),
    ];
    for (id, problem) in refused {
        let error = make(id).map(drop).unwrap_err().to_string();
        let no_mujoco = error.contains("MuJoCo");
        assert!(error.contains(problem) || no_mujoco, "{error}");
    }
}
