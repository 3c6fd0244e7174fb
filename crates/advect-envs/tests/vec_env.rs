//! Vector environments: autoreset, threads, saved states, bad numbers.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a failed test")]

use advect_envs::probe::{Probe, TRUNCATION_STEPS};
use advect_envs::{Env, EnvError, EnvSpec, Step, StepBuffers, VecEnv, make};
use advect_rng::Stream;
use proptest::prelude::*;

fn vector(id: &str, len: usize, threads: usize, seed: u64) -> VecEnv {
    VecEnv::new(|_| make(id), len, threads, seed).unwrap()
}

fn random_actions(envs: &VecEnv, rng: &mut Stream) -> Vec<f32> {
    let mut actions = vec![0.0; envs.len() * envs.spec().act_dim];
    rng.fill_uniform_range(-1.0, 1.0, &mut actions);
    actions
}

#[test]
fn the_step_that_ends_an_episode_returns_both_observations() {
    let mut envs = vector("Probe-Discounting-v0", 3, 1, 0);
    let mut out = envs.buffers();
    envs.reset(&mut out).unwrap();
    assert_eq!(out.obs, [0.0; 3]);
    assert_eq!(out.final_obs, out.obs);
    envs.step(&[0.0; 3], &mut out).unwrap();
    assert_eq!(
        (out.obs.as_slice(), out.final_obs.as_slice()),
        (&[1.0; 3][..], &[1.0; 3][..])
    );
    assert_eq!(out.terminated, [false; 3]);
    envs.step(&[0.0; 3], &mut out).unwrap();
    assert_eq!(
        out.final_obs, [2.0; 3],
        "the last observation of the episode that ended"
    );
    assert_eq!(
        out.obs, [0.0; 3],
        "the first observation of the next episode"
    );
    assert_eq!((out.reward, out.terminated), (vec![1.0; 3], vec![true; 3]));
    assert_eq!(envs.obs(), [0.0; 3]);
}

#[test]
fn truncation_is_not_termination() {
    let mut envs = vector("Probe-Truncation-v0", 2, 2, 0);
    let mut out = envs.buffers();
    envs.reset(&mut out).unwrap();
    for step in 1..=3 * TRUNCATION_STEPS {
        envs.step(&[0.0; 2], &mut out).unwrap();
        assert_eq!(out.terminated, [false; 2]);
        assert_eq!(out.truncated, [step % TRUNCATION_STEPS == 0; 2]);
    }
}

#[test]
fn environments_draw_from_different_streams_and_seeds() {
    let first = |seed| {
        let mut envs = vector("MultiGoal-v0", 5, 2, seed);
        let mut out = envs.buffers();
        envs.reset(&mut out).unwrap();
        out.obs
    };
    let (a, b) = (first(1), first(2));
    assert_eq!(a, first(1));
    for i in 0..5 {
        for j in 0..5 {
            assert!(i == j || a[2 * i..2 * i + 2] != a[2 * j..2 * j + 2]);
            assert!(a[2 * i..2 * i + 2] != b[2 * j..2 * j + 2]);
        }
    }
}

#[test]
fn buffers_of_another_size_are_made_to_fit() {
    let mut envs = vector("Pendulum-v1", 3, 2, 0);
    let mut out = StepBuffers::default();
    envs.reset(&mut out).unwrap();
    assert_eq!((out.obs.len(), out.reward.len()), (9, 3));
}

#[test]
fn not_a_number_is_named_with_environment_index_and_step() {
    for threads in [1, 2] {
        let mut envs = vector(Probe::NonFinite.id(), 3, threads, 0);
        let mut out = envs.buffers();
        envs.reset(&mut out).unwrap();
        envs.step(&[0.0; 3], &mut out).unwrap();
        envs.step(&[0.0; 3], &mut out).unwrap();
        let error = envs.step(&[0.0; 3], &mut out).unwrap_err();
        let wanted = EnvError::NonFinite {
            id: "Probe-NonFinite-v0".to_owned(),
            env: 0,
            what: "observation",
            index: 0,
            step: 3,
        };
        assert_eq!(error, wanted);
        assert!(error.to_string().starts_with(
            "observation[0] of Probe-NonFinite-v0 (environment 0) is not finite at its step 3"
        ));
    }
}

#[test]
fn bad_actions_are_named_before_they_reach_the_environment() {
    let mut envs = vector("MultiGoal-v0", 2, 2, 0);
    let mut out = envs.buffers();
    envs.reset(&mut out).unwrap();
    let error = envs
        .step(&[0.0, 0.0, 0.0, f32::INFINITY], &mut out)
        .unwrap_err();
    assert!(
        matches!(
            error,
            EnvError::NonFinite {
                env: 1,
                what: "action",
                index: 1,
                step: 0,
                ..
            }
        ),
        "{error}"
    );
    let error = envs.step(&[0.0; 3], &mut out).unwrap_err();
    assert!(
        matches!(
            error,
            EnvError::BadLength {
                what: "actions",
                wanted: 4,
                found: 3,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn vectors_without_environments_or_of_different_kinds_are_refused() {
    for (len, threads) in [(0, 1), (1, 0)] {
        let error = VecEnv::new(|_| make("MultiGoal-v0"), len, threads, 0).unwrap_err();
        assert!(matches!(error, EnvError::BadVector { .. }), "{error}");
    }
    let error = VecEnv::new(|i| make(["MultiGoal-v0", "Pendulum-v1"][i]), 2, 1, 0).unwrap_err();
    assert!(
        error.to_string().contains("environment 1 is Pendulum-v1"),
        "{error}"
    );
}

/// An environment that panics at its second step.
struct Panicking(EnvSpec, u32);

impl Env for Panicking {
    fn spec(&self) -> &EnvSpec {
        &self.0
    }
    fn reset(&mut self, _: &mut Stream, obs: &mut [f64]) -> Result<(), EnvError> {
        obs.fill(0.0);
        Ok(())
    }
    fn step(&mut self, _: &[f32], obs: &mut [f64]) -> Result<Step, EnvError> {
        self.1 += 1;
        assert!(self.1 < 2, "this panic is a part of the test");
        obs.fill(0.0);
        Ok(Step::running(0.0))
    }
    fn save_state(&self) -> Vec<u8> {
        Vec::new()
    }
    fn load_state(&mut self, _: &[u8]) -> Result<(), EnvError> {
        Ok(())
    }
}

#[test]
fn a_panic_in_a_worker_is_an_error_and_not_a_hang() {
    let make = |index: usize| -> Result<Box<dyn Env>, EnvError> {
        let taken = if index < 2 { 0 } else { 1 };
        let start = Panicking(EnvSpec::symmetric("Panicking-v0", 1, 1, 1.0), taken);
        Ok(Box::new(start))
    };
    let mut envs = VecEnv::new(make, 4, 2, 0).unwrap();
    let mut out = envs.buffers();
    envs.reset(&mut out).unwrap();
    let error = envs.step(&[0.0; 4], &mut out).unwrap_err();
    assert!(
        matches!(
            error,
            EnvError::WorkerLost {
                first: 2,
                end: 4,
                ..
            }
        ),
        "{error}"
    );
    let error = envs.reset(&mut out).unwrap_err();
    assert!(
        matches!(
            error,
            EnvError::WorkerLost {
                first: 2,
                end: 4,
                ..
            }
        ),
        "{error}"
    );
}

#[test]
fn single_environments_can_be_reached_between_steps() {
    let mut envs = vector("Pendulum-v1", 5, 2, 0);
    let mut out = envs.buffers();
    envs.reset(&mut out).unwrap();
    for index in 0..5 {
        assert_eq!(envs.env_mut(index).unwrap().spec().id, "Pendulum-v1");
    }
    assert!(envs.env_mut(5).is_none());
}

#[test]
fn damaged_states_are_refused() {
    let envs = vector("Pendulum-v1", 2, 1, 0);
    let good = envs.save_state();
    let mut other = vector("Pendulum-v1", 3, 1, 0);
    let error = other.load_state(&good).unwrap_err();
    assert!(
        error.to_string().contains("2 environments saved, 3 here"),
        "{error}"
    );
    let mut same = vector("Pendulum-v1", 2, 1, 0);
    for len in [0, 7, good.len() / 2, good.len() - 1] {
        assert!(matches!(
            same.load_state(&good[..len]),
            Err(EnvError::BadState { .. })
        ));
    }
}

const IDS: [&str; 11] = [
    "MultiGoal-v0",
    "Pendulum-v1",
    "MountainCarContinuous-v0",
    "CartPoleSwingUp-v0",
    "AcrobotContinuous-v0",
    "Reacher2d-v0",
    "Maze2dUMaze-v0",
    "Maze2dMedium-v0",
    "Maze2dLarge-v0",
    "Probe-ObservationValue-v0",
    "Probe-Truncation-v0",
];

/// Steps `envs` and returns everything that it returned.
fn rollout(envs: &mut VecEnv, rng: &mut Stream, steps: usize) -> Vec<StepBuffers> {
    let mut out = envs.buffers();
    (0..steps)
        .map(|_| {
            envs.step(&random_actions(envs, rng), &mut out).unwrap();
            out.clone()
        })
        .collect()
}

/// A vector returns what its environments return when each is stepped alone from the same state.
#[test]
fn vectors_are_their_environments_side_by_side() {
    for id in IDS {
        let mut envs = vector(id, 3, 2, 5);
        let mut out = envs.buffers();
        envs.reset(&mut out).unwrap();
        let obs_dim = envs.spec().obs_dim;
        let act_dim = envs.spec().act_dim;
        let mut alone = Vec::new();
        for index in 0..3 {
            let mut env = make(id).unwrap();
            let saved = envs.env_mut(index).unwrap().save_state();
            env.load_state(&saved).unwrap();
            alone.push(env);
        }
        let mut rng = Stream::new(5, "actions");
        let mut obs = vec![0.0; obs_dim];
        for _ in 0..40 {
            let actions = random_actions(&envs, &mut rng);
            envs.step(&actions, &mut out).unwrap();
            for (index, env) in alone.iter_mut().enumerate() {
                let action = &actions[index * act_dim..(index + 1) * act_dim];
                let step = env.step(action, &mut obs).unwrap();
                let last = &out.final_obs[index * obs_dim..(index + 1) * obs_dim];
                let rounded: Vec<f32> = obs.iter().map(|number| *number as f32).collect();
                assert_eq!(rounded, last, "{id}");
                assert_eq!(step.reward as f32, out.reward[index], "{id}");
                assert_eq!(step.terminated, out.terminated[index], "{id}");
                assert_eq!(step.truncated, out.truncated[index], "{id}");
                if step.is_last() {
                    // the vector drew the next start from its own stream
                    let saved = envs.env_mut(index).unwrap().save_state();
                    env.load_state(&saved).unwrap();
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// The number of threads changes nothing, and neither does saving and loading at any moment.
    #[test]
    fn results_depend_on_neither_threads_nor_interruptions(
        which in 0usize..IDS.len(),
        len in 1usize..8,
        threads in 1usize..5,
        later_threads in 1usize..5,
        seed in any::<u64>(),
        interrupted_after in 0usize..80,
    ) {
        let id = IDS[which];
        let mut expected = vector(id, len, 1, seed);
        expected.reset(&mut expected.buffers()).unwrap();
        let mut rng = Stream::new(seed, "actions");
        let expected: Vec<_> = rollout(&mut expected, &mut rng, 120);

        let mut rng = Stream::new(seed, "actions");
        let mut first = vector(id, len, threads, seed);
        first.reset(&mut first.buffers()).unwrap();
        let mut found = rollout(&mut first, &mut rng, interrupted_after);
        let saved = first.save_state();
        let last_obs = first.obs().to_vec();
        drop(first);
        let mut second = vector(id, len, later_threads, seed ^ 1);
        second.load_state(&saved).unwrap();
        prop_assert_eq!(second.obs(), &last_obs);
        prop_assert_eq!(second.save_state(), saved);
        found.extend(rollout(&mut second, &mut rng, 120 - interrupted_after));
        prop_assert_eq!(found, expected);
    }
}
