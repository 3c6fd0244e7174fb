//! The kitchen and the mazes beyond what a replay shows: ids, first states, noise, goals, saved states, options.
#![cfg(feature = "mujoco")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test")]

mod common;

use advect_envs::mujoco::{KitchenConfig, KitchenEnv, KitchenTask, MazeConfig, MazeEnv};
use advect_envs::{Env, EnvError, TimeLimit, ids, make};
use advect_rng::Stream;
use common::rollout::{reset, rollout, threads_change_nothing_in};

#[test]
fn specs_are_gymnasium_robotics() {
    if !common::robotics_is_here() {
        return;
    }
    for (id, obs_dim, act_dim, limit, is_goal) in [
        ("FrankaKitchen-v1", 59, 9, 280, false),
        ("FrankaKitchen-v1/kettle+microwave", 59, 9, 280, false),
        ("PointMaze_UMaze-v3", 8, 2, 300, true),
        ("PointMaze_Medium_Diverse_G-v3", 8, 2, 600, true),
        ("PointMaze_Large_Diverse_GRDense-v3", 8, 2, 800, true),
        ("AntMaze_Open-v5", 109, 8, 700, true),
        ("AntMaze_LargeDense-v5", 109, 8, 1000, true),
        ("AntMaze_Medium-v4", 31, 8, 1000, true),
    ] {
        let env = make(id).unwrap();
        let spec = env.spec();
        assert_eq!(spec.id, id);
        assert_eq!((spec.obs_dim, spec.act_dim), (obs_dim, act_dim), "{id}");
        assert_eq!(spec.max_episode_steps, Some(limit), "{id}");
        assert_eq!((&spec.act_low[0], &spec.act_high[0]), (&-1.0, &1.0));
        let goal = spec
            .goal
            .as_ref()
            .map(|g| (g.achieved.clone(), g.desired.clone()));
        let last = (obs_dim - 4..obs_dim - 2, obs_dim - 2..obs_dim);
        assert_eq!(goal, is_goal.then_some(last), "{id}");
    }
}

#[test]
fn ids_are_listed_and_others_are_refused() {
    let count = |start: &str| ids().iter().filter(|id| id.starts_with(start)).count();
    assert_eq!(count("FrankaKitchen-v1"), 11);
    assert_eq!((count("PointMaze_"), count("AntMaze_")), (20, 40));
    let nearest = |id: &str| match make(id).err() {
        Some(EnvError::UnknownId { nearest, .. }) => nearest[0].clone(),
        other => panic!("{other:?}"),
    };
    let kitchen = nearest("FrankaKitchen-v1/microwaves");
    assert_eq!(kitchen, "FrankaKitchen-v1/microwave");
    assert_eq!(nearest("PointMaze_Umaze-v3"), "PointMaze_UMaze-v3");
}

#[test]
fn kitchens_without_tasks_are_refused() {
    let error = KitchenEnv::new(KitchenConfig::with_tasks(&[])).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the task list of FrankaKitchen-v1 is empty; name at least one"
    );
}

#[test]
fn a_saved_state_continues_with_the_same_bits() {
    if !common::robotics_is_here() {
        return;
    }
    let ids = [
        "FrankaKitchen-v1/mixed",
        "PointMaze_UMaze-v3",
        "AntMaze_Open_Diverse_GR-v5",
    ];
    for id in ids {
        for before in [0, 1, 25] {
            let (mut env, mut rng) = (make(id).unwrap(), Stream::new(3, "test"));
            reset(&mut *env, &mut rng);
            rollout(&mut *env, &mut rng, before);
            let (state, stream) = (env.save_state(), rng.state());
            let expected = rollout(&mut *env, &mut rng, 25);
            let mut copy = make(id).unwrap();
            copy.load_state(&state).unwrap();
            assert_eq!(copy.save_state(), state, "{id}");
            let found = rollout(&mut *copy, &mut Stream::from_state(stream), 25);
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
        ("FrankaKitchen-v1/microwave", "FrankaKitchen-v1/kettle"),
        ("FrankaKitchen-v1/microwave", "PointMaze_UMaze-v3"),
        ("PointMaze_UMaze-v3", "FrankaKitchen-v1/microwave"),
    ] {
        let (mut env, mut rng) = (make(id).unwrap(), Stream::new(3, "test"));
        let mut donor = make(other).unwrap();
        reset(&mut *donor, &mut rng);
        reset(&mut *env, &mut rng);
        let before = env.save_state();
        let error = env.load_state(&donor.save_state()).unwrap_err();
        let named = matches!(&error, EnvError::BadState { id: named, .. } if named == id);
        assert!(named, "{error}");
        assert_eq!(env.save_state(), before, "{id}");
        assert!(env.load_state(&before[..before.len() - 1]).is_err());
    }
}

#[test]
fn threads_change_nothing() {
    if !common::robotics_is_here() {
        return;
    }
    for id in ["FrankaKitchen-v1/complete", "PointMaze_Large-v3"] {
        threads_change_nothing_in(id);
    }
}

#[test]
fn the_kitchens_noise_differs_between_episodes_and_its_state_does_not() {
    if !common::robotics_is_here() {
        return;
    }
    let mut env = KitchenEnv::new(KitchenConfig::default()).unwrap();
    let mut rng = Stream::new(1, "noise");
    let first = reset(&mut env, &mut rng);
    let qpos = env.data().qpos().to_vec();
    let second = reset(&mut env, &mut rng);
    assert_eq!(env.data().qpos(), qpos);
    assert_ne!(first, second);
    for (noisy, position) in first[..9].iter().zip(&qpos) {
        assert!((noisy - position).abs() <= 1e-3);
    }
    let again = reset(&mut env, &mut Stream::new(1, "noise"));
    assert_eq!(again, first, "the same stream gives the same noise");
}

#[test]
fn completed_tasks_are_counted_once_and_end_the_episode() {
    if !common::robotics_is_here() {
        return;
    }
    use KitchenTask::{Kettle, Microwave};
    let mut env = KitchenEnv::new(KitchenConfig::with_tasks(&[Kettle, Microwave])).unwrap();
    assert_eq!(env.spec().id, "FrankaKitchen-v1/microwave+kettle");
    let mut obs = reset(&mut env, &mut Stream::new(0, "kitchen"));
    let mut qpos = env.data().qpos().to_vec();
    qpos[22] = -0.75;
    env.reset_to(&qpos, &[0.0; 29], &mut obs).unwrap();
    let rewards = [(); 3].map(|()| env.step(&[0.0; 9], &mut obs).unwrap());
    assert_eq!(rewards.map(|step| step.reward), [1.0, 0.0, 0.0]);
    assert!(rewards.iter().all(|step| !step.terminated) && env.is_success() == Some(false));
    assert_eq!(env.completed().collect::<Vec<_>>(), [Microwave]);
    let (first, goal) = Kettle.goal();
    qpos[first..].copy_from_slice(goal);
    env.reset_to(&qpos, &[0.0; 29], &mut obs).unwrap();
    assert_eq!(env.completed().count(), 0);
    let step = env.step(&[0.0; 9], &mut obs).unwrap();
    assert_eq!((step.reward, step.terminated), (2.0, true));
    assert_eq!(env.is_success(), Some(true));
}

#[test]
fn mazes_begin_in_their_cells_and_away_from_the_goal() {
    if !common::robotics_is_here() {
        return;
    }
    for (id, width) in [("PointMaze_Open-v3", 1.0), ("AntMaze_UMaze-v4", 4.0)] {
        let mut env = MazeEnv::new(id, MazeConfig::default()).unwrap();
        let mut rng = Stream::new(2, "maze");
        let desired = env.spec().goal.clone().unwrap().desired;
        let mut goals = Vec::new();
        for _ in 0..200 {
            let obs = reset(&mut env, &mut rng);
            let (place, goal) = (env.data().qpos(), env.goal());
            assert_eq!(obs[desired.clone()], goal);
            // these mazes have odd numbers of rows and columns: the centres of cells are multiples of the width
            for coordinate in [place[0], place[1], goal[0], goal[1]] {
                let cells = coordinate / width;
                assert!((cells - cells.round()).abs() <= 0.25, "{id}: {coordinate}");
            }
            assert_eq!(env.is_success(), Some(false), "{id}");
            goals.push(goal.map(|c| (c / width).round() as i32));
        }
        goals.sort_unstable();
        goals.dedup();
        assert!(goals.len() >= 7, "{id}: {goals:?}");
    }
}

#[test]
fn reached_goals_stay_move_or_end_the_episode() {
    if !common::robotics_is_here() {
        return;
    }
    for (continuing_task, reset_target) in [(true, false), (true, true), (false, false)] {
        let config = MazeConfig {
            continuing_task,
            reset_target,
        };
        let mut env = TimeLimit::new(MazeEnv::new("PointMaze_Open-v3", config).unwrap());
        let mut obs = vec![0.0; 8];
        let goal = [1.0, 0.0];
        env.reset_with(|env| env.reset_to(&[1.0, 0.1], &[0.0; 2], goal, &mut obs))
            .unwrap();
        let step = env.step(&[0.0; 2], &mut obs).unwrap();
        assert_eq!((step.reward, step.terminated), (1.0, !continuing_task));
        assert_eq!(
            obs[6..],
            goal,
            "the observation of a step has the goal that it was rewarded for"
        );
        assert_eq!(env.inner().goal() != goal, reset_target);
        assert_eq!(env.is_success(), Some(!reset_target));
    }
}
