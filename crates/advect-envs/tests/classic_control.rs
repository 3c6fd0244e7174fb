//! Mountain car, cart-pole, acrobot and reacher against closed forms and published equations.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test")]

use std::f64::consts::PI;

use advect_envs::embedded::{AcrobotContinuous, CartPoleSwingUp, MountainCarContinuous, Reacher2d};
use advect_envs::{Env, EnvError, Step, make};
use advect_rng::Stream;
use proptest::prelude::*;

type Actions = &'static [f32];

fn assert_close(found: &[f64], wanted: &[f64], tolerance: f64) {
    assert_eq!(found.len(), wanted.len());
    for (i, (found, wanted)) in found.iter().zip(wanted).enumerate() {
        assert!(
            (found - wanted).abs() <= tolerance,
            "[{i}]: {found} for {wanted}"
        );
    }
}

/// Steps a mountain car from a state; the observation and the last step.
fn drive(position: f64, velocity: f64, actions: &[f32]) -> ([f32; 2], Step) {
    let (mut env, mut obs) = (MountainCarContinuous::new(), [0.0; 2]);
    env.set_state(position, velocity, &mut obs).unwrap();
    let steps = actions.iter().map(|a| env.step(&[*a], &mut obs).unwrap());
    let last = steps.last().unwrap();
    (obs.map(|number| number as f32), last)
}

/// Numbers of gymnasium 1.4.0, its state set to the same f32 numbers: the states are equal to the bit.
#[test]
fn mountain_car_moves_as_gymnasiums() {
    let cases: [(f64, f64, Actions, [f32; 2], f64, bool); 4] = [
        (
            -0.5,
            0.0,
            &[1.0, 1.0, -0.25],
            [-0.493_985_47, 0.002_054_964_7],
            -0.00625,
            false,
        ),
        (-1.19, -0.06, &[-0.5], [-1.2, 0.0], -0.025, false),
        (
            0.44,
            0.03,
            &[0.75],
            [0.470_504_55, 0.030_504_56],
            99.943_75,
            true,
        ),
        (
            0.2,
            0.0699,
            &[1.0],
            [0.269_336_67, 0.069_336_66],
            -0.1,
            false,
        ),
    ];
    for (position, velocity, actions, wanted, reward, terminated) in cases {
        let (found, step) = drive(position, velocity, actions);
        assert_eq!(found, wanted);
        assert!((step.reward - reward).abs() < 1e-12, "{}", step.reward);
        assert_eq!(step.terminated, terminated);
    }
}

#[test]
fn mountain_car_clips_the_force_and_charges_the_action_sent() {
    let (clipped, step) = drive(-0.3, 0.01, &[3.0]);
    assert_eq!(clipped, drive(-0.3, 0.01, &[1.0]).0);
    assert!((step.reward + 0.9).abs() < 1e-12);
    // the top speed, and the right end of the valley
    assert_eq!(drive(-0.8, 0.0699, &[1.0]).0[1], 0.07);
    assert_eq!(drive(0.58, 0.07, &[1.0]).0[0], 0.6);
}

/// Full throttle does not climb the hill; pushing along the motion does.
#[test]
fn mountain_car_needs_momentum() {
    let reaches_with = |action: fn(f64) -> f32| {
        let mut env = make("MountainCarContinuous-v0").unwrap();
        let mut obs = [0.0; 2];
        env.reset(&mut Stream::new(0, "car"), &mut obs).unwrap();
        loop {
            let step = env.step(&[action(obs[1])], &mut obs).unwrap();
            if step.is_last() {
                return step.terminated;
            }
        }
    };
    assert!(!reaches_with(|_| 1.0));
    assert!(reaches_with(|velocity| if velocity < 0.0 {
        -1.0
    } else {
        1.0
    }));
}

#[test]
fn cart_pole_keeps_its_energy_without_force() {
    let (mut env, mut obs) = (CartPoleSwingUp::new(), [0.0; 5]);
    env.set_state([0.0, 0.0, 1.0, 0.5], &mut obs).unwrap();
    let start = env.energy();
    let mut worst: f64 = 0.0;
    let mut kinetic = (f64::INFINITY, f64::NEG_INFINITY);
    for _ in 0..500 {
        env.step(&[0.0], &mut obs).unwrap();
        worst = worst.max((env.energy() - start).abs());
        let potential = 0.1 * 9.8 * 0.5 * obs[2];
        kinetic = (
            kinetic.0.min(start - potential),
            kinetic.1.max(start - potential),
        );
    }
    assert!(worst < 1e-7, "{worst}");
    assert!(kinetic.1 - kinetic.0 > 0.3, "the pole swings: {kinetic:?}");
}

/// The accelerations of cart and pole from Lagrange's equations, solved as a linear system:
/// `M v' + m l cos w' = F + m l w^2 sin` and `m l cos v' + 4/3 m l^2 w' = m g l sin`.
fn lagrange_cart_pole([_, v, theta, w]: [f64; 4], force: f64) -> [f64; 4] {
    let (mass, moment, inertia) = (1.1, 0.05, 0.1 / 3.0);
    let (sin, cos) = theta.sin_cos();
    let (right_1, right_2) = (force + moment * w * w * sin, moment * 9.8 * sin);
    let det = mass * inertia - (moment * cos).powi(2);
    let v_dot = (inertia * right_1 - moment * cos * right_2) / det;
    let w_dot = (mass * right_2 - moment * cos * right_1) / det;
    [v, v_dot, w, w_dot]
}

/// The midpoint rule in many tiny steps.
fn tiny_steps(
    start: [f64; 4],
    time: f64,
    count: u32,
    slope: impl Fn([f64; 4]) -> [f64; 4],
) -> [f64; 4] {
    let dt = time / f64::from(count);
    let along = |x: [f64; 4], k: [f64; 4], dt: f64| std::array::from_fn(|i| x[i] + dt * k[i]);
    (0..count).fold(start, |x, _| {
        along(x, slope(along(x, slope(x), dt / 2.0)), dt)
    })
}

#[test]
fn cart_pole_steps_are_those_of_lagranges_equations() {
    for (start, action) in [
        ([0.3, -0.4, 2.0, 3.0], 0.7_f32),
        ([-1.0, 1.5, -0.5, -6.0], -1.0),
        ([0.0, 0.0, 3.0, 0.1], 5.0),
    ] {
        let (mut env, mut obs) = (CartPoleSwingUp::new(), [0.0; 5]);
        env.set_state(start, &mut obs).unwrap();
        env.step(&[action], &mut obs).unwrap();
        let force = 10.0 * f64::from(action.clamp(-1.0, 1.0));
        let wanted = tiny_steps(start, 0.02, 2_000, |x| lagrange_cart_pole(x, force));
        assert_close(&env.state(), &wanted, 1e-8);
        let [x, v, theta, w] = wanted;
        assert_close(&obs, &[x, v, theta.cos(), theta.sin(), w], 1e-8);
    }
}

#[test]
fn cart_pole_rewards_upright_in_the_middle_and_ends_off_the_track() {
    let step_from = |state: [f64; 4]| {
        let mut env = CartPoleSwingUp::new();
        env.set_state(state, &mut [0.0; 5]).unwrap();
        env.step(&[0.0], &mut [0.0; 5]).unwrap()
    };
    assert_eq!(step_from([0.0; 4]), Step::running(1.0));
    assert!(step_from([0.0, 0.0, PI, 0.0]).reward.abs() < 1e-12);
    // half way out the position counts cos(pi / 4); level, the angle counts one half
    assert!((step_from([1.2, 0.0, 0.0, 0.0]).reward - 0.5_f64.sqrt()).abs() < 1e-12);
    assert!((step_from([0.0, 0.0, PI / 2.0, 0.0]).reward - 0.5).abs() < 1e-2);
    assert!(!step_from([2.39, 0.0, 0.0, 0.0]).terminated);
    for side in [-1.0, 1.0] {
        let off = step_from([2.39 * side, side, 0.0, 0.0]);
        assert_eq!(off, Step::ending(0.0, true));
    }
}

/// Pumping energy and then a linear controller: the task can be solved within its track and its time.
#[test]
fn cart_pole_can_be_swung_up_and_balanced() {
    for seed in 0..5 {
        let mut env = make("CartPoleSwingUp-v0").unwrap();
        let mut obs = [0.0; 5];
        env.reset(&mut Stream::new(seed, "pole"), &mut obs).unwrap();
        let mut rewards = Vec::new();
        loop {
            let [x, v, cos, sin, w] = obs;
            let missing = 0.5 * 9.8 * 0.1 * (cos - 1.0) + 0.1 / 6.0 * w * w;
            let force = if cos > 0.9 {
                8.7 * x + 9.7 * v + 60.0 * sin.atan2(cos) + 15.5 * w
            } else {
                20.0 * missing * w * cos - 6.0 * x - 2.0 * v
            };
            let step = env.step(&[(force / 10.0) as f32], &mut obs).unwrap();
            rewards.push(step.reward);
            if step.is_last() {
                assert!(step.truncated && !step.terminated, "off the track");
                break;
            }
        }
        let late = &rewards[400..];
        assert!(late.iter().all(|reward| *reward > 0.8), "{late:?}");
    }
}

fn acrobot_at(state: [f64; 4]) -> AcrobotContinuous {
    let mut env = AcrobotContinuous::new();
    env.set_state(state, &mut [0.0; 6]).unwrap();
    env
}

/// Numbers of gymnasium 1.4.0's `Acrobot-v1`, its state set to the same f64 numbers.
#[test]
fn acrobot_moves_as_gymnasiums() {
    let cases: [([f64; 4], Actions, [f64; 4], f64); 4] = [
        (
            [0.05, -0.08, 0.02, 0.09],
            &[1.0, 1.0, -1.0, 0.0],
            [
                -0.06730787908511468,
                0.25803762754962106,
                0.03515242362301965,
                -0.07091647735425805,
            ],
            -1.0,
        ),
        (
            [2.0, -1.5, -3.0, 4.0],
            &[-1.0],
            [
                1.2733284085382661,
                -0.5285381634523177,
                -4.293986252748951,
                5.789709794042794,
            ],
            -1.0,
        ),
        (
            [-3.0, 2.5, 10.0, -25.0],
            &[1.0],
            [
                -0.9043052040052864,
                -2.471880154193695,
                9.855051215185442,
                -22.988592917172895,
            ],
            -1.0,
        ),
        (
            [1.9, 1.2, 1.0, 1.0],
            &[0.0],
            [
                1.995597062940775,
                1.5197503272246424,
                -0.028050831469520476,
                2.2249249443785333,
            ],
            0.0,
        ),
    ];
    for (start, torques, wanted, reward) in cases {
        let (mut env, mut obs) = (acrobot_at(start), [0.0; 6]);
        let steps = torques.iter().map(|u| env.step(&[*u], &mut obs).unwrap());
        let last = steps.last().unwrap();
        assert_close(&env.state(), &wanted, 1e-11);
        let [a, b, w_1, w_2] = wanted;
        assert_close(&obs, &[a.cos(), a.sin(), b.cos(), b.sin(), w_1, w_2], 1e-11);
        assert_eq!(last, Step::ending(reward, reward == 0.0));
    }
}

#[test]
fn acrobot_keeps_its_energy_without_torque() {
    let mut env = acrobot_at([0.5, -0.4, 0.0, 0.0]);
    let start = env.energy();
    let mut worst: f64 = 0.0;
    for _ in 0..50 {
        env.step(&[0.0], &mut [0.0; 6]).unwrap();
        worst = worst.max((env.energy() - start).abs());
    }
    // one Runge-Kutta step of 0.2 s is coarse; hanging, the energy is -19.6
    assert!(worst > 1e-9 && worst < 0.05, "{worst}");
    assert!((acrobot_at([0.0; 4]).energy() + 19.6).abs() < 1e-12);
}

#[test]
fn acrobot_takes_torques_between_gymnasiums_and_clips_the_others() {
    let after = |torque: f32| {
        let mut env = acrobot_at([0.1, 0.2, 0.3, 0.4]);
        env.step(&[torque], &mut [0.0; 6]).unwrap();
        env.state()[3]
    };
    assert!(after(-1.0) < after(-0.5) && after(-0.5) < after(0.0) && after(0.0) < after(0.5));
    assert_eq!(after(7.0), after(1.0));
    let mut env = acrobot_at([0.0, 0.0, 20.0, -40.0]);
    env.step(&[0.0], &mut [0.0; 6]).unwrap();
    assert!(env.state()[2].abs() <= 4.0 * PI && env.state()[3].abs() <= 9.0 * PI);
}

fn reacher_at(joints: [f64; 4], goal: [f64; 2], damping: f64) -> Reacher2d {
    let mut env = Reacher2d::new().with_damping(damping);
    env.set_state(joints, goal, &mut [0.0; 10]).unwrap();
    env
}

/// `l = m = 1/2`: the angular momentum about the shoulder, which only a torque there changes.
fn reacher_momentum(obs: &[f64; 10]) -> f64 {
    let [inertia, coupling] = [1.0 / 24.0, 1.0 / 16.0];
    let [c_2, w_1, w_2] = [obs[2], obs[4], obs[5]];
    (2.0 * inertia + 0.125 + 2.0 * coupling * c_2) * w_1 + (inertia + coupling * c_2) * w_2
}

/// Two invariants fix the two velocities at every angle, so together they check the whole dynamics.
#[test]
fn reacher_keeps_energy_and_angular_momentum_without_torque_and_damping() {
    let mut env = reacher_at([0.3, 1.2, 2.0, -3.0], [0.0; 2], 0.0);
    let mut obs = [0.0; 10];
    env.set_state([0.3, 1.2, 2.0, -3.0], [0.0; 2], &mut obs)
        .unwrap();
    let (energy, momentum) = (env.energy(), reacher_momentum(&obs));
    for _ in 0..200 {
        env.step(&[0.0; 2], &mut obs).unwrap();
        assert!(
            (env.energy() - energy).abs() < 1e-5 * energy,
            "{}",
            env.energy()
        );
        assert!((reacher_momentum(&obs) - momentum).abs() < 1e-5);
    }
}

/// The energy is that of two rods: `m v^2 / 2 + m l^2 w^2 / 24` of each, from their centres' velocities.
#[test]
fn reacher_has_the_energy_of_two_rods() {
    let [theta_1, theta_2, w_1, w_2]: [f64; 4] = [0.7, -1.1, 1.5, 2.5];
    let w_12 = w_1 + w_2;
    let elbow = [-theta_1.sin() * 0.5 * w_1, theta_1.cos() * 0.5 * w_1];
    let both = theta_1 + theta_2;
    let second = [
        elbow[0] - both.sin() * 0.25 * w_12,
        elbow[1] + both.cos() * 0.25 * w_12,
    ];
    let first = 0.25 * 0.25 * w_1 * w_1;
    let moving = 0.25 * (first + second[0].powi(2) + second[1].powi(2));
    let turning = 0.5 * (0.125 / 12.0) * (w_1 * w_1 + w_12 * w_12);
    let env = reacher_at([theta_1, theta_2, w_1, w_2], [0.0; 2], 0.1);
    assert!((env.energy() - moving - turning).abs() < 1e-12);
}

/// Work and damping: the energy rises by `tau . w` and falls by `0.1 |w|^2`, integrated by Simpson's rule over a step of few rad/s.
#[test]
fn reacher_torques_do_work_and_damping_takes_it() {
    let torque = [0.8_f32, -0.5];
    let start = [0.3, 1.2, 1.0, -0.7];
    for damping in [0.0, 0.1] {
        let mut env = reacher_at(start, [0.0; 2], damping);
        let mut obs = [0.0; 10];
        let before = env.energy();
        env.step(&torque, &mut obs).unwrap();
        let power = |w_1: f64, w_2: f64| {
            f64::from(torque[0]) * w_1 + f64::from(torque[1]) * w_2
                - damping * (w_1 * w_1 + w_2 * w_2)
        };
        let mean = 0.5 * (power(start[2], start[3]) + power(obs[4], obs[5]));
        let gained = env.energy() - before;
        assert!((gained - 0.05 * mean).abs() < 2e-3, "{gained} {mean}");
        assert!(gained.abs() > 0.02);
    }
}

#[test]
fn reacher_rewards_the_tip_at_the_goal() {
    let (mut env, mut obs) = (reacher_at([0.0; 4], [0.6, 0.8], 0.1), [0.0; 10]);
    let step = env.step(&[0.0; 2], &mut obs).unwrap();
    // the stretched arm ends at (1, 0)
    assert_close(&obs[6..], &[1.0, 0.0, 0.6, 0.8], 1e-12);
    assert!(
        (step.reward + 0.8_f64.sqrt()).abs() < 1e-12,
        "{}",
        step.reward
    );
    let mut env = reacher_at([0.0; 4], [1.0, 0.0], 0.1);
    let step = env.step(&[2.0, 0.5], &mut obs).unwrap();
    let miss = (obs[6] - 1.0).hypot(obs[7]);
    assert!((step.reward + miss + 0.0125).abs() < 1e-12);
    assert!(!step.terminated);
}

/// A controller of the joints brings the tip to goals that it finds by the cosine rule.
#[test]
fn reacher_can_reach_its_goals() {
    for seed in 0..5 {
        let mut env = make("Reacher2d-v0").unwrap();
        let mut obs = [0.0; 10];
        env.reset(&mut Stream::new(seed, "arm"), &mut obs).unwrap();
        let [x, y] = [obs[8], obs[9]];
        let radius = x.hypot(y);
        assert!(radius < 0.9);
        let bend = 2.0 * radius.acos();
        let aim = y.atan2(x) - bend / 2.0;
        let mut last = Step::running(0.0);
        while !last.is_last() {
            let error = |wanted: f64, cos: f64, sin: f64| {
                let off = wanted - sin.atan2(cos);
                off.sin().atan2(off.cos())
            };
            let first = 3.0 * error(aim, obs[0], obs[1]) - 0.8 * obs[4];
            let second = 1.5 * error(bend, obs[2], obs[3]) - 0.3 * obs[5];
            last = env.step(&[first as f32, second as f32], &mut obs).unwrap();
        }
        assert!(last.truncated && last.reward > -0.05, "{}", last.reward);
    }
}

#[test]
fn reacher_says_where_its_goals_are() {
    let env = make("Reacher2d-v0").unwrap();
    let goal = env.spec().goal.clone().unwrap();
    assert_eq!((goal.achieved, goal.desired), (6..8, 8..10));
}

#[test]
fn chosen_states_need_an_observation_of_the_right_length() {
    let errors = [
        MountainCarContinuous::new().set_state(0.0, 0.0, &mut [0.0; 3]),
        CartPoleSwingUp::new().set_state([0.0; 4], &mut [0.0; 4]),
        AcrobotContinuous::new().set_state([0.0; 4], &mut [0.0; 4]),
        Reacher2d::new().set_state([0.0; 4], [0.0; 2], &mut [0.0; 9]),
    ];
    for (error, wanted) in errors.into_iter().zip([2, 5, 6, 10]) {
        let error = error.unwrap_err();
        assert!(
            matches!(error, EnvError::BadLength { wanted: w, .. } if w == wanted),
            "{error}"
        );
    }
}

proptest! {
    /// Starts lie in the ranges that the documentation gives.
    #[test]
    fn starts_are_as_documented(seed in any::<u64>()) {
        let first = |id: &str| {
            let mut env = make(id).unwrap();
            let mut obs = vec![0.0; env.spec().obs_dim];
            env.reset(&mut Stream::new(seed, "start"), &mut obs).unwrap();
            obs
        };
        let car = first("MountainCarContinuous-v0");
        prop_assert!((-0.600_001..=-0.399_999).contains(&car[0]) && car[1] == 0.0);
        let pole = first("CartPoleSwingUp-v0");
        prop_assert!(pole[2] < -0.998 && [0, 1, 3, 4].iter().all(|i| pole[*i].abs() <= 0.05));
        let arm = first("AcrobotContinuous-v0");
        prop_assert!(arm[0] > 0.99 && arm[2] > 0.99 && arm[4].abs().max(arm[5].abs()) <= 0.1);
        let reacher = first("Reacher2d-v0");
        prop_assert!(reacher[4..6] == [0.0; 2] && reacher[8].hypot(reacher[9]) <= 0.9);
    }
}
