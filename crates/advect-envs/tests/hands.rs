//! The Adroit and the Shadow hand beyond what a replay shows: ids, first states, models of their own, saved states, settings, frames.
#![cfg(feature = "mujoco")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test")]

mod common;

use std::f64::consts::PI;

use advect_envs::experts::expert;
use advect_envs::mujoco::{AdroitEnv, HandConfig, HandEnv};
use advect_envs::{Env, EnvError, TimeLimit, ids, make};
use advect_rng::Stream;
use common::rollout::{reset, rollout, threads_change_nothing_in};

const FM_IRL: &str = "CustomHandManipulateBlockRotateZ-v0";
/// One id for each kind of reset.
const IDS: [&str; 6] = [
    "AdroitHandDoor-v1",
    "AdroitHandHammer-v1",
    "AdroitHandPen-v1",
    "AdroitHandRelocateSparse-v1",
    "HandManipulateBlockFullDense-v1",
    FM_IRL,
];

#[test]
fn specs_are_gymnasium_robotics() {
    if !common::robotics_is_here() {
        return;
    }
    for (id, obs_dim, act_dim, limit, goal) in [
        ("AdroitHandDoor-v1", 39, 28, 200, None),
        ("AdroitHandHammerSparse-v1", 46, 26, 200, None),
        ("AdroitHandPen-v1", 45, 24, 200, None),
        ("AdroitHandRelocate-v1", 39, 30, 200, None),
        (
            "HandManipulateBlock-v1",
            75,
            20,
            100,
            Some((61..68, 68..75)),
        ),
        (FM_IRL, 68, 20, 50, Some((57..61, 64..68))),
    ] {
        let env = make(id).unwrap();
        let spec = env.spec();
        assert_eq!(spec.id, id);
        assert_eq!((spec.obs_dim, spec.act_dim), (obs_dim, act_dim), "{id}");
        assert_eq!(spec.max_episode_steps, Some(limit), "{id}");
        assert_eq!((&spec.act_low[0], &spec.act_high[0]), (&-1.0, &1.0));
        let found = spec.goal.clone().map(|g| (g.achieved, g.desired));
        assert_eq!(found, goal, "{id}");
    }
    let count = |start: &str| ids().iter().filter(|id| id.starts_with(start)).count();
    assert_eq!((count("AdroitHand"), count("HandManipulate")), (8, 10));
}

#[test]
fn a_saved_state_continues_with_the_same_bits() {
    if !common::robotics_is_here() {
        return;
    }
    for id in IDS {
        for before in [0, 1, 30] {
            let (mut env, mut rng) = (make(id).unwrap(), Stream::new(3, "test"));
            reset(&mut *env, &mut rng);
            rollout(&mut *env, &mut rng, before);
            let (state, stream) = (env.save_state(), rng.state());
            let success = env.is_success();
            let expected = rollout(&mut *env, &mut rng, 30);
            // the copy has been elsewhere: its model and its derived quantities are others
            let mut copy = make(id).unwrap();
            reset(&mut *copy, &mut Stream::new(4, "test"));
            rollout(&mut *copy, &mut Stream::new(4, "test"), 3);
            copy.load_state(&state).unwrap();
            assert_eq!(copy.save_state(), state, "{id}");
            assert_eq!(copy.is_success(), success, "{id}");
            let found = rollout(&mut *copy, &mut Stream::from_state(stream), 30);
            assert_eq!(found, expected, "{id} after {before} steps");
        }
    }
}

#[test]
fn states_that_do_not_fit_are_refused() {
    if !common::robotics_is_here() {
        return;
    }
    for (id, other) in [
        ("AdroitHandDoor-v1", "AdroitHandPen-v1"),
        ("AdroitHandHammer-v1", FM_IRL),
        (FM_IRL, "AdroitHandRelocate-v1"),
    ] {
        let (mut env, mut rng) = (make(id).unwrap(), Stream::new(3, "test"));
        let mut donor = make(other).unwrap();
        reset(&mut *donor, &mut rng);
        reset(&mut *env, &mut rng);
        let before = env.save_state();
        assert!(env.load_state(&donor.save_state()).is_err(), "{id}");
        assert!(env.load_state(&before[..before.len() - 1]).is_err());
        assert_eq!(env.save_state(), before, "{id}");
    }
}

#[test]
fn environments_on_one_thread_or_many_do_not_disturb_each_other() {
    if !common::robotics_is_here() {
        return;
    }
    for id in ["AdroitHandPen-v1", "AdroitHandRelocate-v1", FM_IRL] {
        threads_change_nothing_in(id);
    }
}

#[test]
fn what_an_adroit_reset_draws_lies_in_its_ranges_and_in_one_model_only() {
    if !common::robotics_is_here() {
        return;
    }
    let ranges: [(&str, &[[f64; 2]]); 3] = [
        (
            "AdroitHandDoor-v1",
            &[[-0.3, -0.2], [0.25, 0.35], [0.252, 0.35]],
        ),
        ("AdroitHandHammer-v1", &[[0.1, 0.25]]),
        (
            "AdroitHandRelocate-v1",
            &[
                [-0.15, 0.15],
                [-0.15, 0.3],
                [-0.2, 0.2],
                [-0.2, 0.2],
                [0.15, 0.35],
            ],
        ),
    ];
    for (id, ranges) in ranges {
        let [mut env, mut other] = [(); 2].map(|()| AdroitEnv::new(id).unwrap());
        let mut rng = Stream::new(2, "hands");
        reset(&mut other, &mut rng);
        let twin = other.save_state();
        let mut seen = vec![[f64::INFINITY, f64::NEG_INFINITY]; ranges.len()];
        for _ in 0..100 {
            reset(&mut env, &mut rng);
            assert_eq!(env.drawn().len(), ranges.len());
            for ((seen, number), [low, high]) in seen.iter_mut().zip(env.drawn()).zip(ranges) {
                assert!((low..=high).contains(&number), "{id}: {number}");
                *seen = [seen[0].min(*number), seen[1].max(*number)];
            }
        }
        for ([low, high], range) in seen.iter().zip(ranges) {
            assert!(high - low > 0.8 * (range[1] - range[0]), "{id}: {seen:?}");
        }
        // the other one goes on as one that is alone
        let next = |env: &mut AdroitEnv| {
            let mut obs = vec![0.0; env.spec().obs_dim];
            env.step(&vec![0.25; env.spec().act_dim], &mut obs).unwrap();
            obs
        };
        let found = next(&mut other);
        let mut alone = AdroitEnv::new(id).unwrap();
        alone.load_state(&twin).unwrap();
        assert_eq!(next(&mut alone), found, "{id}");
    }
}

#[test]
fn the_pens_target_is_tilted_by_at_most_a_radian_about_two_axes() {
    if !common::robotics_is_here() {
        return;
    }
    let mut env = AdroitEnv::new("AdroitHandPen-v1").unwrap();
    let mut rng = Stream::new(2, "hands");
    let mut least = 1.0f64;
    for _ in 0..100 {
        let obs = reset(&mut env, &mut rng);
        let (direction, target) = (&obs[33..36], &obs[36..39]);
        for way in [direction, target] {
            let length: f64 = way.iter().map(|part| part * part).sum();
            assert!((length - 1.0).abs() < 1e-12);
        }
        // cos(1)^2 for both tilts at their bounds
        assert!(target[2] >= 1.0f64.cos().powi(2) - 1e-12, "{target:?}");
        least = least.min(target[2]);
    }
    assert!(least < 0.5, "{least}");
}

#[test]
fn an_open_door_is_a_success_that_the_state_remembers() {
    if !common::robotics_is_here() {
        return;
    }
    for (id, reward) in [
        ("AdroitHandDoorSparse-v1", 10.0),
        ("AdroitHandDoor-v1", 20.0),
    ] {
        let mut env = AdroitEnv::new(id).unwrap();
        let mut obs = vec![0.0; 39];
        let mut qpos = [0.0; 30];
        let place = [-0.25, 0.3, 0.3];
        env.reset_to(&qpos, &[0.0; 30], &place, &mut obs).unwrap();
        assert_eq!(env.is_success(), Some(false));
        qpos[28] = 1.5;
        env.reset_to(&qpos, &[0.0; 30], &place, &mut obs).unwrap();
        let step = env.step(&[0.0; 28], &mut obs).unwrap();
        assert!(
            (step.reward - reward).abs() < 0.5 && !step.terminated,
            "{step:?}"
        );
        assert_eq!((env.is_success(), obs[38]), (Some(true), 1.0));
        let mut copy = AdroitEnv::new(id).unwrap();
        copy.load_state(&env.save_state()).unwrap();
        assert_eq!(copy.is_success(), Some(true));
        let error = env.reset_to(&qpos, &[0.0; 30], &[0.0], &mut obs);
        assert!(matches!(
            error,
            Err(EnvError::BadLength { what: "drawn", .. })
        ));
    }
}

/// Angle about the vertical axis of a quaternion whose other axes do not matter.
fn yaw(quat: &[f64]) -> f64 {
    2.0 * quat[3].atan2(quat[0])
}

#[test]
fn fm_irls_block_starts_near_zero_and_its_goal_lies_ahead() {
    if !common::robotics_is_here() {
        return;
    }
    let degrees = |config: HandConfig, count| {
        let mut env = HandEnv::new(FM_IRL, config).unwrap();
        let mut rng = Stream::new(7, "hands");
        let goals = (0..count).map(|_| {
            let obs = reset(&mut env, &mut rng);
            assert_eq!(obs[61..64], [0.0; 3], "the goal's place is hidden");
            assert_eq!(obs[64..], env.goal()[3..]);
            // settling turns the block a little
            let bound = 0.4 + config.rotation_noise * PI / 12.0;
            assert!(yaw(&obs[57..61]).abs() < bound, "{:?}", &obs[57..61]);
            yaw(&obs[64..]) * 180.0 / PI
        });
        let goals: Vec<f64> = goals.collect();
        let bound = |pick: fn(f64, f64) -> f64| goals.iter().copied().reduce(pick).unwrap();
        (bound(f64::min), bound(f64::max))
    };
    let (low, high) = degrees(HandConfig::default(), 40);
    assert!(
        (45.0..50.0).contains(&low) && (70.0..=75.0).contains(&high),
        "{low} {high}"
    );
    let wider = HandConfig {
        rotation_noise: 2.0,
        ..HandConfig::default()
    };
    let (low, high) = degrees(wider, 40);
    assert!(
        (30.0..40.0).contains(&low) && (80.0..=90.0).contains(&high),
        "{low} {high}"
    );
}

#[test]
fn noise_scales_where_the_block_starts() {
    if !common::robotics_is_here() {
        return;
    }
    // the place at rest depends on where the block was put, and without noise only on its rotation
    let spread = |noise: f64| {
        let id = format!("HandManipulateBlockRotateZ-v1@noise={noise}");
        let (mut env, mut rng) = (make(&id).unwrap(), Stream::new(5, "hands"));
        let places = (0..12).map(|_| reset(&mut *env, &mut rng)[61]);
        let places: Vec<f64> = places.collect();
        let mean = places.iter().sum::<f64>() / 12.0;
        places.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 12.0
    };
    let (none, much) = (spread(0.0), spread(2.0));
    assert!(much > 2.0 * none, "{much} and {none}");
    for setting in ["noise=-1", "noise=11", "noise=nan", "rotation_noise=-0.5"] {
        let error = make(&format!("{FM_IRL}@{setting}")).err().unwrap();
        assert!(error.to_string().contains("give 0 or more"), "{error}");
    }
    let full = make("HandManipulateBlock-v1@rotation_noise=2");
    let error = full.err().unwrap().to_string();
    assert!(error.contains("nothing to scale"), "{error}");
}

#[test]
fn fm_irls_goal_ends_the_episode_and_gymnasiums_does_not() {
    if !common::robotics_is_here() {
        return;
    }
    for (id, ends) in [(FM_IRL, true), ("HandManipulateBlockRotateZ-v1", false)] {
        let env = HandEnv::new(id, HandConfig::default()).unwrap();
        let mut env = TimeLimit::new(env);
        let mut obs = vec![0.0; env.spec().obs_dim];
        let block = [1.0, 0.87, 0.2, 1.0, 0.0, 0.0, 0.0];
        env.reset_with(|env| env.reset_to(block, block, &mut obs))
            .unwrap();
        // the goal is where the block came to lie, but for its place, which does not count
        let mut goal = [0.0; 7];
        goal.copy_from_slice(&env.inner().data().qpos()[24..31]);
        goal[0] += 1.0;
        env.reset_with(|env| env.reset_to(block, goal, &mut obs))
            .unwrap();
        assert_eq!(env.is_success(), Some(true), "{id}");
        let step = env.step(&[0.0; 20], &mut obs).unwrap();
        assert_eq!((step.reward, step.terminated), (0.0, ends), "{id}");
    }
}

#[test]
fn frames_show_what_was_drawn_and_change_nothing() {
    if !common::robotics_is_here() {
        return;
    }
    let required = std::env::var_os("ADVECT_REQUIRE_EGL").is_some_and(|value| value == "1");
    for id in ["AdroitHandRelocate-v1", FM_IRL] {
        let (mut env, mut plain) = (make(id).unwrap(), make(id).unwrap());
        let [mut rng, mut plain_rng] = [(); 2].map(|()| Stream::new(1, "frames"));
        let first = reset(&mut *env, &mut rng);
        assert_eq!(reset(&mut *plain, &mut plain_rng), first);
        let frame = match env.render(64, 64) {
            Err(error @ EnvError::EglUnavailable { .. }) if !required => {
                println!("skipped: {error}");
                return;
            }
            drawn => drawn.unwrap(),
        };
        assert_eq!(env.render(64, 64).unwrap(), frame);
        let expected = rollout(&mut *plain, &mut plain_rng, 3);
        assert_eq!(rollout(&mut *env, &mut rng, 3), expected, "{id}");
        // the goal is elsewhere in another episode
        reset(&mut *env, &mut rng);
        assert_ne!(env.render(64, 64).unwrap(), frame, "{id}");
    }
}

/// Steps to the goal of each of the expert's episodes, `None` where the time was over.
fn turns(seeds: std::ops::Range<u64>) -> Vec<Option<u32>> {
    let mut env = make(FM_IRL).unwrap();
    let mut expert = expert(FM_IRL).unwrap().unwrap();
    let mut one = |seed| {
        let (mut rng, mut obs) = (Stream::new(seed, "hand expert"), [0.0; 68]);
        let mut action = [0.0; 20];
        env.reset(&mut rng, &mut obs).unwrap();
        expert.reset();
        for steps in 1.. {
            expert.act(&obs, &mut action).unwrap();
            assert!(action.iter().all(|a| a.abs() <= 1.0), "{action:?}");
            let step = env.step(&action, &mut obs).unwrap();
            if step.is_last() {
                return step.terminated.then_some(steps);
            }
        }
        None
    };
    seeds.map(&mut one).collect()
}

/// A random policy never gets there.
#[test]
fn the_expert_looks_ahead_to_the_goal() {
    if !common::robotics_is_here() {
        return;
    }
    let found = turns(0..2);
    assert!(found.iter().all(Option::is_some), "{found:?}");
    assert_eq!(turns(0..1), found[..1], "the same plans every time");
}
