//! Episode statistics: returns, lengths, success, the window, saved states.
#![allow(clippy::unwrap_used, reason = "a failed test")]

use advect_envs::{
    Env, EnvError, EnvSpec, Episode, EpisodeStats, Step, StepBuffers, Success, TimeLimit, VecEnv,
    make,
};
use advect_rng::Stream;

/// Is where the last action was; being above 0 is success. The reward is the place.
struct Place(EnvSpec, f64);

impl Env for Place {
    fn spec(&self) -> &EnvSpec {
        &self.0
    }
    fn reset(&mut self, _: &mut Stream, obs: &mut [f64]) -> Result<(), EnvError> {
        // the first state is a success that does not count
        self.1 = 1.0;
        obs[0] = self.1;
        Ok(())
    }
    fn step(&mut self, action: &[f32], obs: &mut [f64]) -> Result<Step, EnvError> {
        self.1 = f64::from(action[0]);
        obs[0] = self.1;
        Ok(Step::running(self.1))
    }
    fn save_state(&self) -> Vec<u8> {
        self.1.to_le_bytes().to_vec()
    }
    fn load_state(&mut self, state: &[u8]) -> Result<(), EnvError> {
        self.1 = f64::from_le_bytes(state.try_into().unwrap());
        Ok(())
    }
    fn is_success(&self) -> Option<bool> {
        Some(self.1 > 0.0)
    }
}

fn places(len: usize, threads: usize) -> VecEnv {
    let spec = EnvSpec::symmetric("Place-v0", 1, 1, 9.0).with_time_limit(3);
    let make = |_| -> Result<Box<dyn Env>, EnvError> {
        Ok(Box::new(TimeLimit::new(Place(spec.clone(), 0.0))))
    };
    VecEnv::new(make, len, threads, 0).unwrap()
}

const fn success(at_end: bool, once: bool) -> Option<Success> {
    Some(Success { at_end, once })
}

#[test]
fn success_is_that_of_the_last_state_and_that_of_any() {
    for threads in [1, 2, 3] {
        let mut envs = places(4, threads);
        let mut out = envs.buffers();
        let mut stats = EpisodeStats::new(envs.spec(), 4, 10).unwrap();
        envs.reset(&mut out).unwrap();
        assert_eq!(out.success, [Some(true); 4]);
        assert_eq!(stats.means(), None);
        let mut ended = Vec::new();
        for actions in [
            [-1.0, -1.0, 2.0, 1.0],
            [-1.0, 3.0, -1.0, 1.0],
            [-1.0, -4.0, 1.5, 1.0],
        ] {
            assert!(ended.is_empty());
            envs.step(&actions, &mut out).unwrap();
            ended = stats.record(&out).unwrap();
        }
        assert_eq!(out.success[..2], [Some(false); 2], "not that of the reset");
        let wanted = [
            (-3.0, success(false, false)),
            (-2.0, success(false, true)),
            (2.5, success(true, true)),
            (3.0, success(true, true)),
        ];
        for (env, (episode, (total, success))) in ended.iter().zip(wanted).enumerate() {
            let length = 3;
            let wanted = Episode {
                env,
                total,
                length,
                success,
            };
            assert_eq!(*episode, wanted);
        }
        assert_eq!(ended.len(), 4);
        let means = stats.means().unwrap();
        assert_eq!((means.episodes, means.total, means.length), (4, 0.125, 3.0));
        let shares = (means.success_at_end, means.success_once);
        assert_eq!(shares, (Some(0.5), Some(0.75)));
        // success is not carried over to the next episode
        for _ in 0..3 {
            envs.step(&[-1.0; 4], &mut out).unwrap();
            ended = stats.record(&out).unwrap();
        }
        assert_eq!(ended[3].success, success(false, false));
    }
}

/// Buffers of one environment.
fn one(reward: f32, ends: bool) -> StepBuffers {
    let mut out = StepBuffers::new(1, 1);
    (out.reward[0], out.terminated[0]) = (reward, ends);
    out
}

#[test]
fn the_window_keeps_the_last_episodes() {
    let spec = EnvSpec::symmetric("Test-v0", 1, 1, 1.0);
    let mut stats = EpisodeStats::new(&spec, 1, 3).unwrap();
    for total in 1..=5_u8 {
        stats.record(&one(f32::from(total), true)).unwrap();
    }
    let recent: Vec<f64> = stats.recent().map(|episode| episode.total).collect();
    assert_eq!(recent, [3.0, 4.0, 5.0]);
    let means = stats.means().unwrap();
    assert_eq!((means.episodes, means.total, means.length), (3, 4.0, 1.0));
    assert_eq!((means.success_at_end, means.success_once), (None, None));
    stats.record(&one(7.0, false)).unwrap();
    stats.forget_recent();
    assert_eq!((stats.means(), stats.finished()), (None, 5));
    let ended = stats.record(&one(1.0, true)).unwrap();
    assert_eq!((ended[0].total, ended[0].length), (8.0, 2));
    stats.record(&one(7.0, false)).unwrap();
    stats.reset();
    let ended = stats.record(&one(1.0, true)).unwrap();
    assert_eq!((ended[0].total, ended[0].length), (1.0, 1));
}

#[test]
fn a_restored_count_goes_on_with_the_same_bits() {
    let build = || VecEnv::new(|_| make("Maze2dUMaze-v0@max_episode_steps=6"), 5, 2, 1).unwrap();
    let (mut envs, mut actions) = (build(), Stream::new(0, "actions"));
    let mut out = envs.buffers();
    let mut stats = EpisodeStats::new(envs.spec(), 5, 7).unwrap();
    envs.reset(&mut out).unwrap();
    let mut copy = EpisodeStats::new(envs.spec(), 5, 7).unwrap();
    for step in 0..40 {
        let mut action = [0.0; 10];
        actions.fill_uniform_range(-1.0, 1.0, &mut action);
        envs.step(&action, &mut out).unwrap();
        if step % 5 == 2 {
            let mut loaded = EpisodeStats::new(envs.spec(), 5, 7).unwrap();
            loaded.load_state(&copy.save_state()).unwrap();
            copy = loaded;
        }
        assert_eq!(stats.record(&out), copy.record(&out));
        assert_eq!(stats.means(), copy.means());
    }
    assert!(stats.finished() >= 30 && stats.recent().len() == 7);
    let mut shorter = EpisodeStats::new(envs.spec(), 5, 2).unwrap();
    shorter.load_state(&stats.save_state()).unwrap();
    let last: Vec<_> = stats.recent().skip(5).copied().collect();
    assert_eq!(shorter.recent().copied().collect::<Vec<_>>(), last);
}

#[test]
fn damaged_states_and_other_lengths_are_refused() {
    let mut envs = places(2, 1);
    let mut out = envs.buffers();
    let fresh = EpisodeStats::new(envs.spec(), 2, 4).unwrap();
    let mut stats = fresh.clone();
    envs.reset(&mut out).unwrap();
    for _ in 0..4 {
        envs.step(&[1.0; 2], &mut out).unwrap();
        stats.record(&out).unwrap();
    }
    let good = stats.save_state();
    // environments; the first running flag; the index and the success of the last episode; a NaN as its return
    let mut damaged: Vec<Vec<u8>> = (0..good.len()).map(|len| good[..len].to_vec()).collect();
    damaged.push([&good[..], &[0]].concat());
    for (at, bytes) in [
        (8, vec![3]),
        (40, vec![2]),
        (good.len() - 25, vec![2]),
        (good.len() - 17, f64::NAN.to_le_bytes().to_vec()),
        (good.len() - 1, vec![5]),
    ] {
        let mut broken = good.clone();
        broken[at..at + bytes.len()].copy_from_slice(&bytes);
        damaged.push(broken);
    }
    for bytes in damaged {
        let mut loaded = fresh.clone();
        let error = loaded.load_state(&bytes).unwrap_err();
        assert!(matches!(error, EnvError::BadState { .. }), "{error}");
        assert_eq!(loaded, fresh);
    }
    fresh.clone().load_state(&good).unwrap();
    let error = stats.record(&one(0.0, false)).unwrap_err();
    assert!(
        matches!(
            error,
            EnvError::BadLength {
                wanted: 2,
                found: 1,
                ..
            }
        ),
        "{error}"
    );
    let error = EpisodeStats::new(envs.spec(), 2, 0).unwrap_err();
    assert!(
        error.to_string().contains("episode window of Place-v0"),
        "{error}"
    );
}
