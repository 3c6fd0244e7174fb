//! Replays of Gymnasium-Robotics' trajectories, goals included, as `parity.rs` does it for Gymnasium's, and of the script's own `AntGoal-v0`.
#![cfg(feature = "mujoco")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test")]

mod common;

use std::path::Path;

use advect_envs::mujoco::{
    AdroitEnv, AntGoal, AntGoalConfig, FetchConfig, FetchEnv, HandConfig, HandEnv, KitchenConfig,
    KitchenEnv, MazeConfig, MazeEnv,
};
use advect_envs::{Env, TimeLimit, make};
use advect_rng::Stream;
use common::reference::{Covered, Record, Start, read, references, replay, same_bits};

/// Replays every reference of a task by `one`, and returns what they covered together.
fn replay_task(id: &str, one: impl Fn(&Path) -> Covered) -> Option<Covered> {
    if !common::robotics_is_here() {
        return None;
    }
    let mut total = Covered::default();
    // holds the model, which is compiled again where no environment has it
    let _env = make(id).unwrap();
    for path in references(id)? {
        total.add(&one(&path));
    }
    println!("{id}: {total:?}");
    Some(total)
}

/// Whether the script's driver of this name made a file.
fn is_by(path: &Path, driver: &str) -> bool {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    name.contains(&format!("--{driver}--"))
}

fn replay_kitchen(id: &str, path: &Path) -> Covered {
    let goes_on = is_by(path, "lasting");
    let config = KitchenConfig {
        robot_noise_ratio: 0.0,
        object_noise_ratio: 0.0,
        terminate_on_tasks_completed: !goes_on,
        remove_task_when_completed: !goes_on,
        ..KitchenConfig::from_id(id).unwrap()
    };
    let mut env = TimeLimit::new(KitchenEnv::new(config).unwrap());
    let reset = |env: &mut TimeLimit<KitchenEnv>, start: &Start, obs: &mut [f64]| {
        env.reset_with(|env| env.reset_to(&start.qpos, &start.qvel, obs))
            .unwrap();
    };
    replay(&mut env, &read(path), reset, same_bits)
}

fn replay_maze(id: &str, path: &Path) -> Covered {
    let config = MazeConfig {
        continuing_task: !is_by(path, "episodic"),
        ..MazeConfig::default()
    };
    let mut env = TimeLimit::new(MazeEnv::new(id, config).unwrap());
    let reset = |env: &mut TimeLimit<MazeEnv>, start: &Start, obs: &mut [f64]| {
        let goal = *start.obs.last_chunk().unwrap();
        env.reset_with(|env| env.reset_to(&start.qpos, &start.qvel, goal, obs))
            .unwrap();
    };
    replay(&mut env, &read(path), reset, same_bits)
}

fn replay_fetch(id: &str, path: &Path) -> Covered {
    let limit = match path.to_string_lossy().contains("--lasting_") {
        true => 300,
        false => 50,
    };
    let mut env = FetchEnv::new(id, FetchConfig::default()).unwrap();
    let records = read(path);
    settles_as_recorded(&mut env, &records[0]);
    let mut env = TimeLimit::new(env).with_limit(Some(limit));
    let reset = |env: &mut TimeLimit<FetchEnv>, start: &Start, obs: &mut [f64]| {
        let goal = *start.obs.last_chunk().unwrap();
        env.reset_with(|env| env.reset_to(&start.qpos, &start.qvel, goal, obs))
            .unwrap();
    };
    replay(&mut env, &records, reset, same_bits)
}

/// Whether a reset of our own begins in the recorded state, but for the object's drawn place.
fn settles_as_recorded(env: &mut FetchEnv, first: &Record) {
    let Record::Reset(start) = first else {
        panic!("the records begin with a step");
    };
    let mut obs = vec![0.0; env.spec().obs_dim];
    env.reset(&mut Stream::new(0, "settled"), &mut obs).unwrap();
    let mut qpos = env.data().qpos().to_vec();
    if qpos.len() > 15 {
        qpos[15..17].copy_from_slice(&start.qpos[15..17]);
    }
    same_bits(&qpos, &start.qpos, 0);
    same_bits(env.data().qvel(), &start.qvel, 0);
}

/// One of Fetch's tasks with both rewards: flags and observations to the bit, rewards as well.
fn replay_fetches(name: &str) {
    for (reward, steps, resets) in [("", 5820, 84), ("Dense", 1320, 24)] {
        let id = format!("{name}{reward}-v4");
        let Some(covered) = replay_task(&id, |path| replay_fetch(&id, path)) else {
            return;
        };
        assert_eq!((covered.steps, covered.terminations), (steps, 0), "{id}");
        assert_eq!(covered.truncations, resets, "{id}");
        assert_eq!(covered.worst_reward, 0.0, "{id}");
        let reached = covered.rewarded < covered.steps;
        assert!(reached || reward == "Dense", "{id}: {covered:?}");
    }
}

#[test]
fn fetch_reaches_as_in_gymnasium_robotics() {
    replay_fetches("FetchReach");
}

#[test]
fn fetch_pushes_as_in_gymnasium_robotics() {
    replay_fetches("FetchPush");
}

#[test]
fn fetch_slides_as_in_gymnasium_robotics() {
    replay_fetches("FetchSlide");
}

#[test]
fn fetch_picks_and_places_as_in_gymnasium_robotics() {
    replay_fetches("FetchPickAndPlace");
}

fn replay_adroit(id: &str, path: &Path) -> Covered {
    let mut env = TimeLimit::new(AdroitEnv::new(id).unwrap());
    let reset = |env: &mut TimeLimit<AdroitEnv>, start: &Start, obs: &mut [f64]| {
        let numbers = env.inner().data().model().nq();
        let (qpos, drawn) = start.qpos.split_at(numbers);
        env.reset_with(|env| env.reset_to(qpos, &start.qvel, drawn, obs))
            .unwrap();
    };
    replay(&mut env, &read(path), reset, same_bits)
}

fn replay_hand(id: &str, path: &Path) -> Covered {
    let mut env = TimeLimit::new(HandEnv::new(id, HandConfig::default()).unwrap());
    let reset = |env: &mut TimeLimit<HandEnv>, start: &Start, obs: &mut [f64]| {
        let block = start.qpos[24..31].try_into().unwrap();
        let goal = *start.obs.last_chunk().unwrap();
        env.reset_with(|env| env.reset_to(block, goal, obs))
            .unwrap();
    };
    replay(&mut env, &read(path), reset, same_bits)
}

#[test]
fn kitchen_is_gymnasium_robotics() {
    let id = "FrankaKitchen-v1";
    if let Some(covered) = replay_task(id, |path| replay_kitchen(id, path)) {
        assert!(covered.truncations >= 3 && covered.rewarded >= 30);
    }
}

#[test]
fn kitchens_with_other_tasks_are_gymnasium_robotics() {
    let mut total = Covered::default();
    for tasks in [
        "complete",
        "partial",
        "mixed",
        "microwave",
        "hinge_cabinet+top_burner",
    ] {
        let id = format!("FrankaKitchen-v1/{tasks}");
        let Some(covered) = replay_task(&id, |path| replay_kitchen(&id, path)) else {
            return;
        };
        assert!(covered.rewarded > 0, "{id}: {covered:?}");
        total.add(&covered);
    }
    assert!(total.terminations >= 10, "{total:?}");
}

/// The tasks of one agent; what each covered has to satisfy `enough`.
fn replay_mazes(name: &str, enough: impl Fn(&Covered) -> bool) -> Option<Covered> {
    let mut total = Covered::default();
    for id in MazeEnv::ids().filter(|id| id.starts_with(name)) {
        let covered = replay_task(id, |path| replay_maze(id, path))?;
        assert!(enough(&covered), "{id}: {covered:?}");
        total.add(&covered);
    }
    println!("all of {name}: {total:?}");
    Some(total)
}

#[test]
fn point_mazes_are_gymnasium_robotics() {
    // dense rewards are never zero; sparse ones are where the goal is reached, which also ends the episodic ones
    replay_mazes("PointMaze", |c| {
        c.rewarded >= 100 && c.terminations >= 3 && c.truncations >= 3
    });
}

#[test]
fn ant_mazes_are_gymnasium_robotics() {
    if let Some(total) = replay_mazes("AntMaze", |c| c.steps >= 360) {
        assert!(total.truncations >= 12 && total.rewarded > 0, "{total:?}");
    }
}

fn replay_ant_goal(path: &Path) -> Covered {
    let config = AntGoalConfig {
        contact_forces: is_by(path, "touching"),
        ..AntGoalConfig::default()
    };
    let mut env = TimeLimit::new(AntGoal::new(config).unwrap());
    let reset = |env: &mut TimeLimit<AntGoal>, start: &Start, obs: &mut [f64]| {
        // the flag stands at the goal
        let goal = *start.qpos[15..].first_chunk().unwrap();
        env.reset_with(|env| env.reset_to(&start.qpos, &start.qvel, goal, obs))
            .unwrap();
    };
    replay(&mut env, &read(path), reset, same_bits)
}

#[test]
fn ant_goal_is_the_scripts() {
    if let Some(covered) = replay_task(AntGoal::ID, replay_ant_goal) {
        assert!(covered.truncations >= 18 && covered.rewarded >= 1080);
    }
}

#[test]
fn adroit_hands_are_gymnasium_robotics() {
    for id in AdroitEnv::ids() {
        let Some(covered) = replay_task(id, |path| replay_adroit(id, path)) else {
            return;
        };
        let episodes = (covered.truncations, covered.longest_episode);
        assert_eq!(episodes, (18, 200), "{id}: {covered:?}");
        assert_eq!(covered.other_rewards, 0, "{id}: {covered:?}");
        // the tasks are achieved, and not always
        assert!((10..3000).contains(&covered.achieved), "{id}: {covered:?}");
    }
}

#[test]
fn shadow_hands_are_gymnasium_robotics() {
    for id in HandEnv::ids() {
        let Some(covered) = replay_task(id, |path| replay_hand(id, path)) else {
            return;
        };
        assert!(covered.truncations >= 9, "{id}: {covered:?}");
        assert_eq!(covered.other_rewards, 0, "{id}: {covered:?}");
        let fm_irl = id.starts_with("Custom");
        assert_eq!(covered.terminations >= 3, fm_irl, "{id}: {covered:?}");
        assert!(covered.achieved >= 3, "{id}: {covered:?}");
    }
}
