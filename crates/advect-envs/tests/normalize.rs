//! Normalisers: moments, bits, final observations, freezing, saved states.
#![allow(clippy::unwrap_used, reason = "a failed test")]

use advect_envs::normalize::{
    NormalizeObs, NormalizeObsConfig, NormalizeReward, NormalizeRewardConfig, RunningMoments,
};
use advect_envs::{EnvError, EnvSpec, StepBuffers, VecEnv, make};
use advect_rng::Stream;

fn spec(obs_dim: usize) -> EnvSpec {
    EnvSpec::symmetric("Test-v0", obs_dim, 1, 1.0)
}

/// Buffers of environments with one coordinate, whose observations are their last ones too.
fn buffers(obs: &[f32], reward: &[f32], terminated: &[bool], truncated: &[bool]) -> StepBuffers {
    let mut out = StepBuffers::new(obs.len(), 1);
    out.obs.copy_from_slice(obs);
    out.final_obs.copy_from_slice(obs);
    out.reward.copy_from_slice(reward);
    out.terminated.copy_from_slice(terminated);
    out.truncated.copy_from_slice(truncated);
    out
}

fn still(obs: &[f32]) -> StepBuffers {
    let no = vec![false; obs.len()];
    buffers(obs, &vec![0.0; obs.len()], &no, &no)
}

/// Numbers of `RunningMeanStd` of gymnasium 1.4.0 for the same three batches.
#[test]
fn moments_have_gymnasiums_bits() {
    let rows = [
        [0.5, -3.0, 1000.25],
        [1.25, -3.0, 1000.5],
        [-2.0, -3.0, 999.125],
        [0.1, -3.0, 1001.0],
        [7.5, -3.0, 1000.0],
    ];
    let mut moments = RunningMoments::new("Test-v0", "row", 3);
    moments.update(rows[..2].as_flattened()).unwrap();
    moments.update(rows[2..].as_flattened()).unwrap();
    let last = rows.map(|row| row.map(|x| x * 1.5 - 0.25));
    moments.update(last.as_flattened()).unwrap();
    let mean = [1.7124828751712484, -3.874961250387496, 1250.081249187508];
    assert_eq!(moments.mean(), mean);
    let var = [16.720778368485554, 0.765777496973483, 62475.00967403178];
    assert_eq!(moments.var(), var);
    assert_eq!(moments.count(), 10.0001);
}

/// Numbers of `RunningMeanStd` of gymnasium 1.4.0 under the recursion of the returns, with gamma 0.9.
#[test]
fn rewards_are_divided_by_the_deviation_of_the_return() {
    let config = NormalizeRewardConfig {
        gamma: 0.9,
        ..NormalizeRewardConfig::default()
    };
    let mut normalize = NormalizeReward::new(&spec(1), 2, config).unwrap();
    let no = [false; 2];
    // the first ends by termination, the second by truncation: both begin again at 0
    let steps = [
        ([1.0, -0.5], no, no),
        ([2.0, 0.25], [true, false], no),
        ([0.5, 4.0], no, no),
        ([-1.0, 1.0], no, [false, true]),
    ];
    let wanted = [
        [1.3333036945067227, -0.6666518472533614],
        [1.496963893093912, 0.187120486636739],
        [0.31499811898392777, 2.519984951871422],
        [-0.5319366603804397, 0.5319366603804397],
    ];
    for ((reward, terminated, truncated), wanted) in steps.into_iter().zip(wanted) {
        let mut out = buffers(&[0.0; 2], &reward, &terminated, &truncated);
        let before = out.clone();
        normalize.normalize(&mut out).unwrap();
        assert_eq!(out.reward, wanted.map(|r: f64| r as f32));
        out.reward = before.reward.clone();
        assert_eq!(out, before, "nothing but the rewards changes");
    }
    assert_eq!(normalize.moments().mean(), [1.42598217522281]);
    let var = normalize.moments().var()[0];
    assert!((var - 3.5341107417480013).abs() < 1e-14, "{var}");
    // the running returns after the last step: 0.9 * 0.5 - 1 goes on, the truncated one is over
    let mut copy = normalize.clone();
    let state = copy.save_state();
    assert_eq!(state[9..17], (0.9_f64 * 0.5 - 1.0).to_le_bytes());
    assert_eq!(state[17..25], 0.0_f64.to_le_bytes());
    copy.reset();
    assert_eq!(copy.save_state()[9..25], [0; 16]);
}

/// A reward of 1 for ever: the return goes to 100, the variance to a finite number.
#[test]
fn constant_rewards_have_a_finite_scale() {
    let config = NormalizeRewardConfig::default();
    let mut normalize = NormalizeReward::new(&spec(1), 1, config).unwrap();
    for _ in 0..20_000 {
        normalize.normalize_rewards(&mut [1.0], &[false]).unwrap();
    }
    // over n steps the mean of 100 (1 - 0.99^k) is about 100 - 100 * 99 / n, its variance about 100^2 / (2 n 0.01)
    let (mean, var) = (normalize.moments().mean()[0], normalize.moments().var()[0]);
    assert!((mean - (100.0 - 0.495)).abs() < 1e-2, "{mean}");
    assert!((20.0..26.0).contains(&var), "{var}");
    let mut rewards = [2.0, -3.0, 0.0];
    normalize.apply(&mut rewards);
    let scale = (var + 1e-8).sqrt();
    assert_eq!(rewards, [2.0 / scale, -3.0 / scale, 0.0].map(|r| r as f32));
}

#[test]
fn rewards_and_observations_are_clipped() {
    let reward = NormalizeRewardConfig {
        clip: 0.5,
        ..NormalizeRewardConfig::default()
    };
    let normalize = NormalizeReward::new(&spec(1), 1, reward).unwrap();
    let mut rewards = [3.0, -3.0, 0.25];
    normalize.apply(&mut rewards);
    // before the first return the variance is 1
    assert_eq!(rewards, [0.5, -0.5, 0.25]);
    let normalize = NormalizeObs::new(&spec(2), NormalizeObsConfig::default()).unwrap();
    let mut obs = [100.0, -100.0, 2.5, 10.5];
    normalize.apply(&mut obs).unwrap();
    assert_eq!(obs, [10.0, -10.0, 2.5, 10.0]);
}

#[test]
fn observations_are_counted_once_and_last_ones_not_at_all() {
    let mut normalize = NormalizeObs::new(&spec(1), NormalizeObsConfig::default()).unwrap();
    let mut out = still(&[1.0, 2.0, 3.0, 4.0]);
    // the third environment's episode ended at 50
    out.final_obs[2] = 50.0;
    out.truncated[2] = true;
    let before = out.clone();
    normalize.normalize(&mut out).unwrap();
    let mut moments = RunningMoments::new("Test-v0", "row", 1);
    moments.update(&[1.0, 2.0, 3.0, 4.0]).unwrap();
    assert_eq!(normalize.moments().mean(), moments.mean());
    assert_eq!(normalize.moments().var(), moments.var());
    let (mean, deviation) = (moments.mean()[0], (moments.var()[0] + 1e-8).sqrt());
    let by_hand = |x: f64| ((x - mean) / deviation).clamp(-10.0, 10.0) as f32;
    assert_eq!(out.obs, [1.0, 2.0, 3.0, 4.0].map(by_hand));
    assert_eq!(out.final_obs, [1.0, 2.0, 50.0, 4.0].map(by_hand));
    assert_eq!(out.final_obs[2], 10.0, "clipped");
    assert_eq!(
        (out.reward, out.terminated, out.truncated),
        (before.reward, before.terminated, before.truncated)
    );
}

#[test]
fn frozen_statistics_and_foreign_states_are_only_applied() {
    let mut normalize = NormalizeObs::new(&spec(1), NormalizeObsConfig::default()).unwrap();
    normalize.normalize(&mut still(&[3.0, 5.0, 8.0])).unwrap();
    let moments = normalize.moments().clone();
    let mut foreign = vec![5.0, 5.5, 6.0, 7.0, 11.0];
    normalize.apply(&mut foreign).unwrap();
    normalize.set_frozen(true);
    assert!(normalize.is_frozen());
    let mut out = still(&[5.0, 5.5, 6.0, 7.0, 11.0]);
    normalize.normalize(&mut out).unwrap();
    assert_eq!(out.obs, foreign);
    assert_eq!(*normalize.moments(), moments);
    normalize.set_frozen(false);
    normalize.normalize(&mut still(&[5.0])).unwrap();
    assert_ne!(*normalize.moments(), moments);

    let config = NormalizeRewardConfig::default();
    let mut rewards = NormalizeReward::new(&spec(1), 2, config).unwrap();
    rewards
        .normalize_rewards(&mut [1.0, 5.0], &[false; 2])
        .unwrap();
    rewards.set_frozen(true);
    let (var, mut row, mut same) = (rewards.moments().clone(), [2.0, -1.0], [2.0, -1.0]);
    rewards.apply(&mut same);
    rewards.normalize_rewards(&mut row, &[false; 2]).unwrap();
    assert_eq!((row, rewards.moments()), (same, &var));
}

/// One vector with both normalisers.
struct Run {
    envs: VecEnv,
    obs: NormalizeObs,
    reward: NormalizeReward,
    out: StepBuffers,
    actions: Stream,
}

impl Run {
    fn new(id: &str, len: usize, threads: usize) -> Self {
        let envs = VecEnv::new(|_| make(id), len, threads, 3).unwrap();
        let (spec, out) = (envs.spec().clone(), envs.buffers());
        let reward = NormalizeReward::new(&spec, len, NormalizeRewardConfig::default());
        let mut run = Self {
            obs: NormalizeObs::new(&spec, NormalizeObsConfig::default()).unwrap(),
            reward: reward.unwrap(),
            envs,
            out,
            actions: Stream::new(3, "actions"),
        };
        run.envs.reset(&mut run.out).unwrap();
        run.obs.normalize(&mut run.out).unwrap();
        run
    }

    /// The observations that were acted on and what came back.
    fn steps(&mut self, count: usize) -> Vec<(Vec<f32>, StepBuffers)> {
        let mut one = || {
            let acted_on = self.out.obs.clone();
            let mut actions = vec![0.0; self.envs.len() * self.envs.spec().act_dim];
            self.actions.fill_uniform_range(-1.0, 1.0, &mut actions);
            self.envs.step(&actions, &mut self.out).unwrap();
            self.reward.normalize(&mut self.out).unwrap();
            self.obs.normalize(&mut self.out).unwrap();
            (acted_on, self.out.clone())
        };
        (0..count).map(|_| one()).collect()
    }
}

#[test]
fn threads_change_nothing_and_a_resumed_run_has_the_same_bits() {
    for (id, len) in [
        ("Maze2dUMaze-v0@max_episode_steps=9", 7),
        ("Pendulum-v1@max_episode_steps=13", 1),
        ("Probe-Discounting-v0", 3),
    ] {
        let mut whole = Run::new(id, len, 1);
        let wanted = whole.steps(60);
        assert!(
            wanted.iter().any(|(_, out)| out.obs != out.final_obs),
            "no episode ends"
        );
        for (threads, interrupted_after) in [(2, 0), (3, 17), (1, 26)] {
            let mut first = Run::new(id, len, threads);
            let mut found = first.steps(interrupted_after);
            let mut second = Run::new(id, len, 2);
            second.envs.load_state(&first.envs.save_state()).unwrap();
            second.obs.load_state(&first.obs.save_state()).unwrap();
            second
                .reward
                .load_state(&first.reward.save_state())
                .unwrap();
            second.actions = first.actions.clone();
            second.out.obs.copy_from_slice(second.envs.obs());
            second.obs.apply(&mut second.out.obs).unwrap();
            found.extend(second.steps(60 - interrupted_after));
            assert_eq!(found, wanted, "{id}");
            assert_eq!(second.obs, whole.obs);
            assert_eq!(second.reward, whole.reward);
        }
    }
}

/// Loads every shortened state, a longer one, and those with some bytes replaced: each is refused and changes nothing.
fn refuses_damage<T: Clone + PartialEq + std::fmt::Debug>(
    fresh: &T,
    good: &[u8],
    replaced: &[(usize, &[u8])],
    load: impl Fn(&mut T, &[u8]) -> Result<(), EnvError>,
) {
    let mut damaged: Vec<Vec<u8>> = (0..good.len()).map(|len| good[..len].to_vec()).collect();
    damaged.push([good, &[0]].concat());
    for (at, bytes) in replaced {
        let mut broken = good.to_vec();
        broken[*at..at + bytes.len()].copy_from_slice(bytes);
        damaged.push(broken);
    }
    for bytes in damaged {
        let mut loaded = fresh.clone();
        let error = load(&mut loaded, &bytes).unwrap_err();
        assert!(matches!(error, EnvError::BadState { .. }), "{error}");
        assert!(error.to_string().contains("Test-v0"), "{error}");
        assert_eq!(loaded, *fresh);
    }
    load(&mut fresh.clone(), good).unwrap();
}

#[test]
fn damaged_states_are_refused() {
    let (infinite, negative) = (f64::INFINITY.to_le_bytes(), (-1.0_f64).to_le_bytes());
    let fresh = NormalizeObs::new(&spec(2), NormalizeObsConfig::default()).unwrap();
    let mut obs = fresh.clone();
    let mut out = StepBuffers::new(2, 2);
    out.obs.copy_from_slice(&[1.0, 2.0, 3.0, 5.0]);
    obs.normalize(&mut out).unwrap();
    // flag, length of the block, columns, updates, count, means, variances
    let replaced = [
        (0, &[2][..]),
        (9, &[3]),
        (25, &infinite),
        (33, &infinite),
        (49, &negative),
    ];
    refuses_damage(&fresh, &obs.save_state(), &replaced, |o, b| o.load_state(b));

    let config = NormalizeRewardConfig::default();
    let fresh = NormalizeReward::new(&spec(2), 3, config).unwrap();
    let (mut reward, mut row) = (fresh.clone(), [1.0, 2.0, 3.0]);
    reward.normalize_rewards(&mut row, &[false; 3]).unwrap();
    // flag, environments, returns, length of the block, columns
    let replaced = [(0, &[9][..]), (1, &[4]), (17, &infinite), (41, &[2])];
    refuses_damage(&fresh, &reward.save_state(), &replaced, |r, b| {
        r.load_state(b)
    });
}

#[test]
fn settings_lengths_and_numbers_are_checked() {
    for (eps, clip) in [
        (0.0, 1.0),
        (-1.0, 1.0),
        (f64::NAN, 1.0),
        (1e-8, 0.0),
        (1e-8, f64::NAN),
    ] {
        let error = NormalizeObs::new(&spec(1), NormalizeObsConfig { eps, clip }).unwrap_err();
        assert!(matches!(error, EnvError::BadSetting { .. }), "{error}");
    }
    for gamma in [-0.1, 1.1, f64::NAN] {
        let config = NormalizeRewardConfig {
            gamma,
            ..NormalizeRewardConfig::default()
        };
        let error = NormalizeReward::new(&spec(1), 1, config).unwrap_err();
        assert!(error.to_string().contains("gamma of Test-v0"), "{error}");
    }
    let mut obs = NormalizeObs::new(&spec(2), NormalizeObsConfig::default()).unwrap();
    let error = obs.apply(&mut [0.0; 3]).unwrap_err();
    assert!(
        matches!(
            error,
            EnvError::BadLength {
                wanted: 4,
                found: 3,
                ..
            }
        ),
        "{error}"
    );
    let mut out = StepBuffers::new(2, 2);
    out.obs[3] = f32::NAN;
    let (error, before) = (obs.normalize(&mut out).unwrap_err(), obs.clone());
    let is_named = matches!(
        error,
        EnvError::NonFinite {
            env: 1,
            index: 1,
            step: 1,
            ..
        }
    );
    assert!(is_named, "{error}");
    assert_eq!(obs, before);
    let config = NormalizeRewardConfig::default();
    let mut reward = NormalizeReward::new(&spec(2), 2, config).unwrap();
    let before = reward.clone();
    let error = reward.normalize_rewards(&mut [0.0; 3], &[false; 2]);
    assert!(matches!(
        error,
        Err(EnvError::BadLength {
            wanted: 2,
            found: 3,
            ..
        })
    ));
    let error = reward.normalize_rewards(&mut [0.0, f32::INFINITY], &[false; 2]);
    assert!(matches!(error, Err(EnvError::NonFinite { env: 1, .. })));
    assert_eq!(reward, before);
}
