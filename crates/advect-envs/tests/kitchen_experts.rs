//! The kitchen's experts under the noise of the observations: how often they succeed, and in how many steps.
#![cfg(feature = "mujoco")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test")]

mod common;

use advect_envs::experts::expert;
use advect_envs::mujoco::KitchenTask;
use advect_envs::{Env, EnvError, make};
use advect_rng::Stream;

/// Steps to the end of each of the episodes, `None` where the time was over; `shake` is the standard deviation of noise on the actions.
fn episodes(id: &str, seeds: std::ops::Range<u64>, shake: f32) -> Vec<Option<u32>> {
    let mut env = make(id).unwrap();
    let mut expert = expert(id).unwrap().unwrap();
    let mut one = |seed| {
        let (mut rng, mut obs) = (Stream::new(seed, "kitchen expert"), [0.0; 59]);
        let (mut action, mut noise) = ([0.0; 9], [0.0; 9]);
        env.reset(&mut rng, &mut obs).unwrap();
        expert.reset();
        for steps in 1.. {
            expert.act(&obs, &mut action).unwrap();
            assert!(action.iter().all(|a| a.abs() <= 1.0), "{action:?}");
            rng.fill_normal(&mut noise);
            let sent: [f32; 9] = std::array::from_fn(|i| action[i] + shake * noise[i]);
            let step = env.step(&sent, &mut obs).unwrap();
            if step.is_last() {
                assert_eq!(env.is_success(), Some(step.terminated));
                return step.terminated.then_some(steps);
            }
        }
        None
    };
    seeds.map(&mut one).collect()
}

/// Checks that at least `wanted` of the episodes succeed, the slowest of them within `steps`.
fn check(id: &str, seeds: u64, shake: f32, wanted: usize, steps: u32) {
    let found = episodes(id, 0..seeds, shake);
    let mut done: Vec<u32> = found.iter().flatten().copied().collect();
    done.sort_unstable();
    println!("{id}, shake {shake}: {}/{seeds} in {done:?}", done.len());
    assert!(done.len() >= wanted, "{id}: {found:?}");
    assert!(done.last().is_some_and(|most| *most <= steps), "{done:?}");
}

#[test]
fn every_single_task_is_done() {
    if !common::robotics_is_here() {
        return;
    }
    for task in KitchenTask::ALL {
        let id = format!("FrankaKitchen-v1/{}", task.name());
        check(&id, 20, 0.0, 20, 60);
    }
}

#[test]
fn sets_of_tasks_are_done() {
    if !common::robotics_is_here() {
        return;
    }
    for tasks in ["/microwave+kettle", "/complete", "/partial", "/mixed"] {
        check(&format!("FrankaKitchen-v1{tasks}"), 3, 0.0, 3, 200);
    }
    check("FrankaKitchen-v1", 4, 0.0, 4, 280);
}

#[test]
fn noisy_actions_are_made_up_for() {
    if !common::robotics_is_here() {
        return;
    }
    for task in KitchenTask::ALL {
        let id = format!("FrankaKitchen-v1/{}", task.name());
        check(&id, 5, 0.1, 5, 200);
    }
}

#[test]
fn ids_and_lengths_are_checked() {
    assert!(expert("FrankaKitchen-v1/sofa").unwrap().is_none());
    assert!(expert("Pendulum-v1").unwrap().is_none());
    let mut expert = expert("FrankaKitchen-v1/kettle@robot_noise_ratio=0")
        .unwrap()
        .unwrap();
    let short = expert.act(&[0.0; 58], &mut [0.0; 9]).unwrap_err();
    assert!(matches!(short, EnvError::BadLength { .. }), "{short}");
    let short = expert.act(&[0.0; 59], &mut [0.0; 8]).unwrap_err();
    assert!(matches!(short, EnvError::BadLength { .. }), "{short}");
}
