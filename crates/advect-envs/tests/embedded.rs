//! The embedded environments against closed forms.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test")]

use std::f64::consts::PI;

use advect_envs::embedded::{
    AcrobotContinuous, CartPoleSwingUp, GOALS, Maze2d, Maze2dConfig, MazeLayout,
    MountainCarContinuous, MultiGoal, Pendulum, Reacher2d,
};
use advect_envs::probe::{Probe, ProbeEnv, TRUNCATION_STEPS};
use advect_envs::{Env, EnvError, Step, TimeLimit, ids, make};
use advect_rng::Stream;
use proptest::prelude::*;

fn multi_goal_at(position: [f64; 2]) -> MultiGoal {
    let mut env = MultiGoal::new();
    env.set_position(position);
    env
}

#[test]
fn multi_goal_rewards_are_those_of_the_formula() {
    let mut obs = [0.0; 2];
    let mut env = multi_goal_at([1.0, 2.0]);
    let step = env.step(&[0.5, -0.25], &mut obs).unwrap();
    assert_eq!(obs, [1.5, 1.75]);
    // the goal (0, 5) is the nearest: 1.5^2 + 3.25^2; the action costs 30 (0.5^2 + 0.25^2)
    assert!((step.reward + 12.8125 + 9.375).abs() < 1e-12);
    assert!(!step.terminated && !step.truncated);
}

#[test]
fn multi_goal_ends_with_a_bonus_near_each_goal() {
    for goal in GOALS {
        let mut env = multi_goal_at(goal.map(|g| g * 0.9));
        let step = env.step(&[0.0, 0.0], &mut [0.0; 2]).unwrap();
        assert!(step.terminated);
        assert!((step.reward - (10.0 - 0.25)).abs() < 1e-12);
    }
    // at distance exactly 1 it goes on
    let step = multi_goal_at([4.0, 0.0])
        .step(&[0.0, 0.0], &mut [0.0; 2])
        .unwrap();
    assert!(!step.terminated);
    assert_eq!(step.reward, -1.0);
}

#[test]
fn multi_goal_clips_actions_and_positions() {
    let mut obs = [0.0; 2];
    let mut env = multi_goal_at([6.5, -7.0]);
    let step = env.step(&[3.0, -9.0], &mut obs).unwrap();
    assert_eq!(obs, [7.0, -7.0]);
    // both goals are at squared distance 4 + 49; the clipped action costs 60
    assert_eq!(step.reward, -60.0 - 53.0);
}

#[test]
fn multi_goal_starts_from_a_normal_of_std_a_tenth() {
    let (mut env, mut rng) = (MultiGoal::new(), Stream::new(3, "start"));
    let (mut sum, mut squares) = ([0.0; 2], [0.0; 2]);
    let count = 20_000;
    for _ in 0..count {
        let mut obs = [0.0; 2];
        env.reset(&mut rng, &mut obs).unwrap();
        for i in 0..2 {
            sum[i] += obs[i];
            squares[i] += obs[i] * obs[i];
        }
    }
    for i in 0..2 {
        let n = f64::from(count);
        assert!((sum[i] / n).abs() < 5.0 * 0.1 / n.sqrt());
        assert!((squares[i] / n - 0.01).abs() < 5.0 * 0.01 * (2.0 / n).sqrt());
    }
}

/// Four straight walks have the same return: the optimum is multi-modal.
#[test]
fn multi_goal_treats_the_four_goals_alike() {
    let returns = GOALS.map(|goal| {
        let mut env = multi_goal_at([0.0; 2]);
        let action = goal.map(|g| (g / 10.0) as f32);
        let mut total = 0.0;
        for _ in 0..50 {
            let step = env.step(&action, &mut [0.0; 2]).unwrap();
            total += step.reward;
            if step.terminated {
                return total;
            }
        }
        panic!("no goal reached");
    });
    assert_eq!(returns, [returns[0]; 4]);
}

#[test]
fn pendulum_keeps_its_energy_without_torque() {
    let mut obs = [0.0; 3];
    let mut env = Pendulum::new();
    env.set_state(2.5, 0.0, &mut obs);
    let start = env.energy();
    let mut worst: f64 = 0.0;
    for _ in 0..2_000 {
        env.step(&[0.0], &mut obs).unwrap();
        worst = worst.max((env.energy() - start).abs());
    }
    // semi-implicit Euler: the error stays of first order in dt instead of growing
    assert!(worst > 1e-6 && worst < 0.5, "{worst}");
}

#[test]
fn pendulum_oscillates_with_the_small_angle_period() {
    let mut obs = [0.0; 3];
    let mut env = Pendulum::new();
    env.set_state(PI - 0.01, 0.0, &mut obs);
    // about the lower rest: omega^2 = 3 g / (2 l) = 15, so 20 periods take 40 pi / sqrt(15) / 0.05 = 649 steps
    let mut rises = 0;
    let mut before = 0.0;
    for _ in 0..649 {
        env.step(&[0.0], &mut obs).unwrap();
        rises += u32::from(before < 0.0 && obs[2] >= 0.0);
        before = obs[2];
    }
    assert!((19..=21).contains(&rises), "{rises}");
}

#[test]
fn pendulum_rewards_upright_rest_and_wraps_the_angle() {
    let mut obs = [0.0; 3];
    let mut env = Pendulum::new();
    assert_eq!(env.step(&[0.0], &mut obs).unwrap().reward, 0.0);
    env.set_state(4.0 * PI + 0.5, 2.0, &mut obs);
    let reward = env.step(&[9.0], &mut obs).unwrap().reward;
    assert!((reward + 0.25 + 0.4 + 0.004).abs() < 1e-9, "{reward}");
}

#[test]
fn pendulum_limits_its_speed() {
    let mut obs = [0.0; 3];
    let mut env = Pendulum::new();
    env.set_state(PI / 2.0, 7.99, &mut obs);
    env.step(&[2.0], &mut obs).unwrap();
    assert_eq!(obs[2], 8.0);
}

#[test]
fn time_limits_truncate_and_do_not_terminate() {
    for (id, limit) in [
        ("MultiGoal-v0", 50),
        ("Pendulum-v1", 200),
        ("MountainCarContinuous-v0", 999),
        ("CartPoleSwingUp-v0", 500),
        ("AcrobotContinuous-v0", 500),
        ("Reacher2d-v0", 100),
        ("Maze2dUMaze-v0", 300),
        ("Maze2dMedium-v0", 400),
        ("Maze2dLarge-v0", 800),
        ("Probe-Truncation-v0", TRUNCATION_STEPS),
    ] {
        let mut env = make(id).unwrap();
        let mut obs = vec![0.0; env.spec().obs_dim];
        let action = vec![0.0; env.spec().act_dim];
        env.reset(&mut Stream::new(0, "test"), &mut obs).unwrap();
        for taken in 1..=limit {
            let step = env.step(&action, &mut obs).unwrap();
            assert!(!step.terminated);
            assert_eq!(step.truncated, taken == limit, "{id} after {taken} steps");
        }
        let error = env.step(&action, &mut obs).unwrap_err();
        assert_eq!(error, EnvError::NeedsReset { id: id.to_owned() });
    }
}

/// Rewards and observations of one episode under a constant action.
fn probe_episode(probe: Probe, action: f32) -> (Vec<f64>, Vec<f64>, bool) {
    let mut env = TimeLimit::new(ProbeEnv::new(probe));
    let mut obs = [0.0];
    env.reset(&mut Stream::new(1, "probe"), &mut obs).unwrap();
    let (mut observations, mut rewards) = (vec![obs[0]], Vec::new());
    loop {
        let step = env.step(&[action], &mut obs).unwrap();
        observations.push(obs[0]);
        rewards.push(step.reward);
        if step.is_last() {
            return (observations, rewards, step.terminated);
        }
    }
}

#[test]
fn probes_do_what_their_table_says() {
    assert_eq!(
        probe_episode(Probe::ConstantValue, 0.3),
        (vec![0.0; 2], vec![1.0], true)
    );
    assert_eq!(
        probe_episode(Probe::Discounting, 0.3),
        (vec![0.0, 1.0, 2.0], vec![0.0, 1.0], true)
    );
    assert_eq!(
        probe_episode(Probe::Truncation, 0.3),
        (vec![0.0; 9], vec![1.0; 8], false)
    );
    assert_eq!(probe_episode(Probe::Policy, 0.5).1, [0.0]);
    assert_eq!(probe_episode(Probe::Policy, -0.5).1, [-1.0]);
    let (observations, rewards, _) = probe_episode(Probe::ObservationValue, 0.3);
    assert_eq!(rewards, [observations[0]]);
    let (observations, rewards, _) = probe_episode(Probe::ObservationPolicy, 0.5);
    assert_eq!(rewards, [if observations[0] == 1.0 { 0.0 } else { -1.0 }]);
}

#[test]
fn random_probes_show_both_observations() {
    for probe in [Probe::ObservationValue, Probe::ObservationPolicy] {
        let (mut env, mut rng) = (ProbeEnv::new(probe), Stream::new(5, "probe"));
        let mut seen = [0, 0];
        for _ in 0..200 {
            let mut obs = [0.0];
            env.reset(&mut rng, &mut obs).unwrap();
            assert_eq!(obs[0].abs(), 1.0);
            seen[usize::from(obs[0] > 0.0)] += 1;
        }
        assert!(seen.iter().all(|count| *count > 60), "{seen:?}");
    }
}

#[test]
fn unknown_ids_are_answered_with_the_nearest() {
    let error = make("halfcheeta-v5").err().unwrap();
    let wanted = if cfg!(feature = "mujoco") {
        "HalfCheetah-v5"
    } else {
        "MultiGoal-v0"
    };
    match &error {
        EnvError::UnknownId { id, nearest } => {
            assert_eq!(id, "halfcheeta-v5");
            assert!(
                nearest.len() == 3 && nearest.iter().any(|near| near == wanted),
                "{nearest:?}"
            );
        }
        other => panic!("{other}"),
    }
    assert!(error.to_string().contains("`halfcheeta-v5`") && error.to_string().contains(wanted));
    assert_eq!(
        make("pendulum")
            .err()
            .unwrap()
            .to_string()
            .split("ids: ")
            .nth(1)
            .unwrap()
            .split(", ")
            .next(),
        Some("Pendulum-v1")
    );
}

#[test]
fn ids_are_unique_and_carry_their_own_spec() {
    let all = ids();
    for (index, id) in all.iter().enumerate() {
        assert!(!all[..index].contains(id), "{id} twice");
        if let Ok(env) = make(id) {
            assert_eq!(env.spec().id, *id);
            assert_eq!(env.spec().act_low.len(), env.spec().act_dim);
        }
    }
}

#[test]
fn wrong_lengths_are_named() {
    let mut env = make("Pendulum-v1").unwrap();
    let error = env
        .reset(&mut Stream::new(0, "test"), &mut [0.0; 2])
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "observation of Pendulum-v1 has 3 numbers, but the buffer given has 2; size it from the EnvSpec"
    );
    env.reset(&mut Stream::new(0, "test"), &mut [0.0; 3])
        .unwrap();
    let error = env.step(&[0.0; 4], &mut [0.0; 3]).unwrap_err();
    assert!(matches!(
        error,
        EnvError::BadLength {
            what: "action",
            wanted: 1,
            found: 4,
            ..
        }
    ));
}

/// Every environment, without its time limit's checks too, answers a buffer of the wrong length with an error.
#[test]
fn wrong_lengths_are_errors_everywhere() {
    let refuses = |env: &mut dyn Env| {
        let spec = env.spec().clone();
        let (mut obs, mut long) = (vec![0.0; spec.obs_dim], vec![0.0; spec.obs_dim + 1]);
        let action = vec![0.0; spec.act_dim];
        let short = &action[1..];
        let mut rng = Stream::new(0, "test");
        let is_refused = |result: Result<(), EnvError>| {
            assert!(
                matches!(result, Err(EnvError::BadLength { .. })),
                "{}",
                spec.id
            );
        };
        is_refused(env.reset(&mut rng, &mut long));
        env.reset(&mut rng, &mut obs).unwrap();
        is_refused(env.step(short, &mut obs).map(drop));
        is_refused(env.step(&action, &mut long).map(drop));
        is_refused(env.step(&action, &mut obs[1..]).map(drop));
        env.step(&action, &mut obs).unwrap();
    };
    for id in EMBEDDED {
        refuses(&mut *make(id).unwrap());
    }
    refuses(&mut MountainCarContinuous::new());
    refuses(&mut CartPoleSwingUp::new());
    refuses(&mut AcrobotContinuous::new());
    refuses(&mut Reacher2d::new());
    for layout in MazeLayout::ALL {
        refuses(&mut Maze2d::new(layout, Maze2dConfig::default()).unwrap());
    }
}

/// The same seed gives the same episode, another seed another.
#[test]
fn episodes_depend_on_their_seed_alone() {
    for id in EMBEDDED {
        let episode = |seed: u64| {
            let mut episodes = Episodes::new(id, seed);
            episodes.reset();
            let steps = (0..150).map(|i| episodes.step((i % 7) as f32 / 3.0 - 1.0));
            steps
                .map(|(obs, step)| (obs, step.reward))
                .collect::<Vec<_>>()
        };
        assert_eq!(episode(1), episode(1), "{id}");
        assert_ne!(episode(1), episode(2), "{id}");
    }
}

#[test]
fn damaged_states_are_refused_and_leave_the_environment_alone() {
    for id in EMBEDDED.into_iter().chain(["Probe-Discounting-v0"]) {
        let mut env = make(id).unwrap();
        let mut obs = vec![0.0; env.spec().obs_dim];
        env.reset(&mut Stream::new(0, "test"), &mut obs).unwrap();
        let good = env.save_state();
        let mut long = good.clone();
        long.push(0);
        let mut flag = good.clone();
        flag[0] = 7;
        for bad in [&good[..good.len() - 1], &long, &flag, &[]] {
            let error = env.load_state(bad).unwrap_err();
            assert!(
                matches!(&error, EnvError::BadState { id: named, .. } if named == id),
                "{error}"
            );
            assert_eq!(env.save_state(), good);
        }
    }
}

/// The embedded environments that are no probes.
const EMBEDDED: [&str; 9] = [
    "MultiGoal-v0",
    "Pendulum-v1",
    "MountainCarContinuous-v0",
    "CartPoleSwingUp-v0",
    "AcrobotContinuous-v0",
    "Reacher2d-v0",
    "Maze2dUMaze-v0",
    "Maze2dMedium-v0",
    "Maze2dLarge-v0",
];

/// An environment with its stream, which resets itself when an episode ends.
struct Episodes {
    env: Box<dyn Env>,
    rng: Stream,
    obs: Vec<f64>,
}

impl Episodes {
    fn new(id: &str, seed: u64) -> Self {
        let env = make(id).unwrap();
        let obs = vec![0.0; env.spec().obs_dim];
        let rng = Stream::new(seed, "episodes");
        Self { env, rng, obs }
    }

    fn reset(&mut self) {
        self.env.reset(&mut self.rng, &mut self.obs).unwrap();
    }

    fn step(&mut self, action: f32) -> (Vec<f64>, Step) {
        let action = vec![action; self.env.spec().act_dim];
        let step = self.env.step(&action, &mut self.obs).unwrap();
        let next_obs = self.obs.clone();
        if step.is_last() {
            self.reset();
        }
        (next_obs, step)
    }
}

proptest! {
    /// A saved environment, loaded into a fresh one, goes on with the same bits, also amid an episode.
    #[test]
    fn saved_states_continue(
        which in 0usize..EMBEDDED.len() + 2,
        seed in any::<u64>(),
        before in 0usize..60,
        actions in prop::collection::vec(-1.5f32..1.5, 120),
    ) {
        let probes = ["Probe-Discounting-v0", "Probe-Truncation-v0"];
        let id = EMBEDDED.into_iter().chain(probes).nth(which).unwrap();
        let mut original = Episodes::new(id, seed);
        original.reset();
        for action in &actions[..before] {
            original.step(*action);
        }
        let mut copy = Episodes::new(id, seed ^ 1);
        copy.rng = Stream::from_state(original.rng.state());
        copy.env.load_state(&original.env.save_state()).unwrap();
        for action in &actions[before..] {
            prop_assert_eq!(copy.step(*action), original.step(*action));
        }
    }
}
