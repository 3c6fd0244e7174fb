//! The Fetch robot beyond what a replay shows: ids, places, saved states, FM-IRL's task, experts.
#![cfg(feature = "mujoco")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test")]

mod common;

use advect_envs::experts::expert;
use advect_envs::mujoco::{FetchConfig, FetchEnv};
use advect_envs::{Env, EnvError, ids, make};
use advect_rng::Stream;

const HOLDOUT: &str = "FetchPickAndPlaceDiffHoldout-v0";
const WITH_OBJECTS: [&str; 4] = [
    "FetchPush-v4",
    "FetchSlide-v4",
    "FetchPickAndPlace-v4",
    HOLDOUT,
];

fn fetch(id: &str) -> FetchEnv {
    FetchEnv::new(id, FetchConfig::default()).unwrap()
}

fn reset(env: &mut dyn Env, rng: &mut Stream) -> Vec<f64> {
    let mut obs = vec![0.0; env.spec().obs_dim];
    env.reset(rng, &mut obs).unwrap();
    obs
}

/// Where gripper and object of a task are once they have settled, and where its goals are.
struct Seen {
    gripper: [f64; 3],
    object: [f64; 3],
    goal: [f64; 3],
}

fn first_places(env: &mut dyn Env, count: usize) -> Vec<Seen> {
    let mut rng = Stream::new(4, "places");
    let three = |obs: &[f64], at: usize| *obs[at..].first_chunk().unwrap();
    let mut one = || {
        let obs = reset(env, &mut rng);
        Seen {
            gripper: three(&obs, 0),
            object: three(&obs, 3),
            goal: three(&obs, obs.len() - 3),
        }
    };
    (0..count).map(|_| one()).collect()
}

/// Whether the smallest and the largest value are within a twentieth of the way of these bounds, and not outside.
fn fills(values: impl Iterator<Item = f64>, [low, high]: [f64; 2]) -> bool {
    let values: Vec<f64> = values.collect();
    let least = values.iter().copied().fold(f64::INFINITY, f64::min);
    let most = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let slack = 0.05 * (high - low);
    // the settled gripper is known to a millimetre only
    (low - 1e-3..low + slack + 1e-3).contains(&least)
        && (high - slack - 1e-3..high + 1e-3).contains(&most)
}

#[test]
fn specs_are_gymnasium_robotics() {
    assert_eq!(ids().iter().filter(|id| id.starts_with("Fetch")).count(), 9);
    if !common::robotics_is_here() {
        return;
    }
    for (id, obs_dim, achieved) in [
        ("FetchReach-v4", 16, 10),
        ("FetchPushDense-v4", 31, 25),
        ("FetchSlide-v4", 31, 25),
        ("FetchPickAndPlace-v4", 31, 25),
        (HOLDOUT, 16, 3),
    ] {
        let env = make(id).unwrap();
        let spec = env.spec();
        assert_eq!((spec.obs_dim, spec.act_dim), (obs_dim, 4), "{id}");
        assert_eq!(spec.max_episode_steps, Some(50), "{id}");
        assert_eq!((spec.act_low[3], spec.act_high[0]), (-1.0, 1.0));
        let goal = spec.goal.as_ref().unwrap();
        assert_eq!(goal.achieved, achieved..achieved + 3, "{id}");
        assert_eq!(goal.desired, obs_dim - 3..obs_dim, "{id}");
    }
}

#[test]
fn settings_belong_to_one_task_and_have_a_range() {
    if !common::robotics_is_here() {
        return;
    }
    for id in ["FetchPush-v4@noise=1", &format!("{HOLDOUT}@noise=-1")] {
        let error = make(id).err();
        assert!(matches!(error, Some(EnvError::BadSetting { .. })), "{id}");
    }
    let noise = f64::NAN;
    assert!(FetchEnv::new(HOLDOUT, FetchConfig { noise }).is_err());
    assert!(make(&format!("{HOLDOUT}@noise=2")).is_ok());
}

#[test]
fn objects_and_goals_fill_their_places() {
    if !common::robotics_is_here() {
        return;
    }
    for (id, object, goal, ahead) in [
        ("FetchPush-v4", 0.15, 0.15, 0.0),
        ("FetchSlide-v4", 0.1, 0.3, 0.4),
        ("FetchPickAndPlace-v4", 0.15, 0.15, 0.0),
    ] {
        let seen = first_places(&mut fetch(id), 400);
        for axis in [0, 1] {
            let way = |s: &Seen| s.object[axis] - s.gripper[axis];
            assert!(fills(seen.iter().map(way), [-object, object]), "{id}");
            let centre = if axis == 0 { ahead } else { 0.0 };
            let way = |s: &Seen| s.goal[axis] - s.gripper[axis];
            let range = [centre - goal, centre + goal];
            assert!(fills(seen.iter().map(way), range), "{id}");
        }
        let apart = |s: &Seen| (s.object[0] - s.gripper[0]).hypot(s.object[1] - s.gripper[1]);
        let least = seen.iter().map(apart).fold(1.0, f64::min);
        assert!((0.099..0.11).contains(&least), "{id}: {least}");
        let lifted = seen.iter().filter(|s| s.goal[2] > s.object[2] + 1e-3);
        let share = lifted.count() as f64 / 400.0;
        let wanted = if id.contains("Pick") { 0.5 } else { 0.0 };
        assert!((share - wanted).abs() < 0.1, "{id}: {share}");
    }
    let seen = first_places(&mut fetch("FetchReach-v4"), 400);
    for axis in 0..3 {
        let way = |s: &Seen| s.goal[axis] - s.gripper[axis];
        assert!(fills(seen.iter().map(way), [-0.15, 0.15]));
    }
}

#[test]
fn the_holdout_task_has_its_sides() {
    if !common::robotics_is_here() {
        return;
    }
    for noise in [1.0, 2.0] {
        let mut env = FetchEnv::new(HOLDOUT, FetchConfig { noise }).unwrap();
        let seen = first_places(&mut env, 400);
        let (x, y) = (0.05 * noise, 0.04 * noise);
        let object = |axis: usize| seen.iter().map(move |s| s.object[axis] - s.gripper[axis]);
        assert!(fills(object(0), [-x, x]) && fills(object(1), [0.1, 0.1 + y]));
        let goal = |axis: usize| seen.iter().map(move |s| s.goal[axis] - s.gripper[axis]);
        assert!(fills(goal(0), [-x, x]) && fills(goal(1), [-0.1 - y, -0.1]));
        for seen in seen {
            let height = seen.goal[2] - seen.object[2];
            assert!((height - 0.15).abs() < 1e-6, "{height}");
        }
    }
}

/// The same state and actions in FM-IRL's task and in Gymnasium's.
#[test]
fn the_holdout_task_is_a_part_of_pick_and_place() {
    if !common::robotics_is_here() {
        return;
    }
    let (mut whole, mut part) = (fetch("FetchPickAndPlace-v4"), fetch(HOLDOUT));
    let mut rng = Stream::new(8, "part");
    let (mut obs, mut short) = (vec![0.0; 31], reset(&mut part, &mut rng));
    let goal = part.goal();
    let (qpos, qvel) = (part.data().qpos().to_vec(), part.data().qvel().to_vec());
    whole.reset_to(&qpos, &qvel, goal, &mut obs).unwrap();
    for _ in 0..30 {
        assert_eq!([&obs[..13], &goal].concat(), short);
        let mut action = [0.0; 4];
        rng.fill_uniform_range(-1.0, 1.0, &mut action);
        let [a, b] = [
            whole.step(&action, &mut obs),
            part.step(&action, &mut short),
        ];
        assert_eq!(a, b);
        assert_eq!(whole.is_success(), part.is_success());
    }
}

#[test]
fn fm_irls_task_ends_at_the_goal_and_the_others_go_on() {
    if !common::robotics_is_here() {
        return;
    }
    for (id, ends) in [("FetchPickAndPlace-v4", false), (HOLDOUT, true)] {
        let mut env = fetch(id);
        let mut obs = reset(&mut env, &mut Stream::new(0, "end"));
        let object = [obs[3], obs[4], obs[5]];
        let (qpos, qvel) = (env.data().qpos().to_vec(), env.data().qvel().to_vec());
        for (aside, reached) in [(0.06, false), (0.04, true)] {
            let goal = [object[0], object[1] + aside, object[2]];
            env.reset_to(&qpos, &qvel, goal, &mut obs).unwrap();
            assert_eq!(env.is_success(), Some(reached), "{id}");
            let step = env.step(&[0.0; 4], &mut obs).unwrap();
            let reward = if reached { 0.0 } else { -1.0 };
            assert_eq!((step.reward, step.terminated), (reward, reached && ends));
            assert_eq!(env.is_success(), Some(reached), "{id}");
        }
    }
}

/// Everything that `steps` random actions return, with resets.
fn rollout(
    env: &mut dyn Env,
    rng: &mut Stream,
    steps: usize,
) -> Vec<(Vec<u64>, u64, Option<bool>)> {
    let mut obs = vec![0.0; env.spec().obs_dim];
    let mut one = || {
        let mut action = [0.0; 4];
        rng.fill_uniform_range(-1.0, 1.0, &mut action);
        let step = env.step(&action, &mut obs).unwrap();
        let (success, bits) = (env.is_success(), obs.iter().map(|o| o.to_bits()).collect());
        if step.is_last() {
            env.reset(rng, &mut obs).unwrap();
        }
        (bits, step.reward.to_bits(), success)
    };
    (0..steps).map(|_| one()).collect()
}

#[test]
fn a_saved_state_continues_with_the_same_bits() {
    if !common::robotics_is_here() {
        return;
    }
    for id in WITH_OBJECTS.into_iter().chain(["FetchReachDense-v4"]) {
        for before in [0, 1, 30] {
            let (mut env, mut rng) = (make(id).unwrap(), Stream::new(3, "test"));
            reset(&mut *env, &mut rng);
            rollout(&mut *env, &mut rng, before);
            let (state, stream) = (env.save_state(), rng.state());
            let success = env.is_success();
            let expected = rollout(&mut *env, &mut rng, 30);
            let mut copy = make(id).unwrap();
            copy.load_state(&state).unwrap();
            assert_eq!((copy.save_state(), copy.is_success()), (state, success));
            let found = rollout(&mut *copy, &mut Stream::from_state(stream), 30);
            assert_eq!(found, expected, "{id} after {before} steps");
        }
    }
    let (mut reach, mut push) = (fetch("FetchReach-v4"), fetch("FetchPush-v4"));
    reset(&mut push, &mut Stream::new(0, "other"));
    assert!(reach.load_state(&push.save_state()).is_err());
}

#[test]
fn threads_change_nothing() {
    if !common::robotics_is_here() {
        return;
    }
    common::rollout::threads_change_nothing_in("FetchPush-v4");
}

/// Episodes, of 100, at whose end the goal is reached.
fn successes(id: &str) -> usize {
    let (mut env, mut expert) = (make(id).unwrap(), expert(id).unwrap().unwrap());
    let mut action = [0.0; 4];
    let mut succeeds = |seed: u64| {
        let mut obs = reset(&mut *env, &mut Stream::new(seed, "expert"));
        expert.reset();
        loop {
            expert.act(&obs, &mut action).unwrap();
            if env.step(&action, &mut obs).unwrap().is_last() {
                return env.is_success() == Some(true);
            }
        }
    };
    (0..100).filter(|seed| succeeds(*seed)).count()
}

#[test]
fn experts_succeed() {
    if !common::robotics_is_here() {
        return;
    }
    for (id, least) in [
        ("FetchReach-v4", 100),
        ("FetchPush-v4", 98),
        ("FetchPickAndPlace-v4", 98),
        (HOLDOUT, 98),
        ("FetchPickAndPlaceDiffHoldout-v0@noise=2", 95),
    ] {
        let count = successes(id);
        println!("the expert of {id} reaches {count} of 100 goals");
        assert!(count >= least, "{id}: {count} of 100");
    }
}
