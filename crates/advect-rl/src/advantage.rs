//! Advantages and returns over a rollout.

use advect_kernels::recursion::Recursion;
use candle_core::{DType, Result, Tensor};
use serde::{Deserialize, Serialize};

/// What the end of an episode by a time limit means to its last transition.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TimeLimits {
    /// The episode would have gone on: the value of its last observation is bootstrapped from (Pardo et al. 2018).
    Bootstrap,
    /// The same as a terminal state.
    Terminal,
    /// Nothing is known: the advantage of that transition is 0, so that its return is its value (fm_irl.md section 5).
    Ignore,
}

/// Rows of a rollout in time order, those of the `num_envs` environments of a step behind each other; slices of `T E` values.
#[derive(Debug, Clone, Copy)]
pub struct Rollout<'a> {
    /// Rewards.
    pub reward: &'a [f32],
    /// `V(s_t)`.
    pub value: &'a [f32],
    /// `V` of the true next observation, also where an episode ended.
    pub next_value: &'a [f32],
    /// 1 where the episode terminated, else 0.
    pub terminated: &'a [f32],
    /// 1 where it was cut off, else 0.
    pub truncated: &'a [f32],
    /// `E`.
    pub num_envs: usize,
}

impl Rollout<'_> {
    /// Whether row `i` ended its episode, for whichever reason.
    fn ended(&self, i: usize) -> bool {
        self.terminated[i] > 0.0 || self.truncated[i] > 0.0
    }

    /// Whether row `i` was cut off in a state that is not terminal.
    fn cut(&self, i: usize) -> bool {
        self.truncated[i] > 0.0 && self.terminated[i] == 0.0
    }

    /// The bootstrapped value of row `i`.
    fn bootstrap(&self, i: usize, limits: TimeLimits) -> f64 {
        let goes_on = match limits {
            TimeLimits::Bootstrap => self.terminated[i] == 0.0,
            TimeLimits::Terminal | TimeLimits::Ignore => !self.ended(i),
        };
        if goes_on {
            f64::from(self.next_value[i])
        } else {
            0.0
        }
    }
}

/// Advantages `A` of a rollout; the returns are `A + V`.
///
/// ```text
/// d_t = r_t + gamma V'_t - V_t        V'_t = V(s_{t+1}), or 0 after the end (see [`TimeLimits`])
/// A_t = d_t + gamma lambda A_{t+1}    without the second term after the end, and A_T = 0
/// ```
///
/// Schulman et al. 2016 (arXiv 1506.02438), eq. (16). Sums run in f64.
///
/// # Shapes
/// All slices of the rollout and the result have `T E` values.
///
/// ```
/// use advect_rl::advantage::{Rollout, TimeLimits, gae};
/// let (value, zero) = ([0.0; 2], [0.0; 2]);
/// let rollout = Rollout { reward: &[1.0, 1.0], value: &value, next_value: &value, terminated: &zero, truncated: &zero, num_envs: 1 };
/// assert_eq!(gae(&rollout, 0.5, 1.0, TimeLimits::Bootstrap), [1.5, 1.0]);
/// ```
pub fn gae(rollout: &Rollout, gamma: f64, lambda: f64, limits: TimeLimits) -> Vec<f32> {
    let mut advantage = vec![0.0; rollout.reward.len()];
    let mut later = vec![0.0; rollout.num_envs];
    for i in (0..advantage.len()).rev() {
        let later = &mut later[i % rollout.num_envs];
        let (reward, value) = (f64::from(rollout.reward[i]), f64::from(rollout.value[i]));
        let delta = reward + gamma * rollout.bootstrap(i, limits) - value;
        let trace = if rollout.ended(i) { 0.0 } else { *later };
        *later = delta + gamma * lambda * trace;
        if limits == TimeLimits::Ignore && rollout.cut(i) {
            *later = 0.0;
        }
        advantage[i] = *later as f32;
    }
    advantage
}

/// Lambda returns `y` of rollouts: targets of a critic, for any values of the next states.
///
/// ```text
/// y_t = r_t + gamma [ (1 - lambda) V'_t + lambda y_{t+1} ]    y_{t+1} is V'_t at the end of the rollout
/// ```
///
/// `V'_t` is that of [`gae`], 0 after a time limit with [`TimeLimits::Ignore`] too; where an episode ends, `y_t = r_t + gamma V'_t`. Sutton and Barto 2018, eq. (12.20). Sums run in f64.
///
/// # Shapes
/// `reward`, `terminated` and `truncated` `[T E]` as in [`Rollout`]; the recursion takes `V` and gives `y` of that shape, on any device.
///
/// # Errors
/// If the device fails.
///
/// ```
/// use advect_rl::advantage::{TimeLimits, lambda_returns};
/// use candle_core::{Device, Tensor};
/// let (reward, zero) = (Tensor::new(&[1f32, 1.0], &Device::Cpu)?, Tensor::new(&[0f32, 0.0], &Device::Cpu)?);
/// let returns = lambda_returns(&reward, &zero, &zero, 1, (0.5, 1.0), TimeLimits::Bootstrap)?;
/// assert_eq!(returns.of(&zero)?.to_vec1::<f32>()?, [1.5, 1.0]);
/// # Ok::<(), candle_core::Error>(())
/// ```
pub fn lambda_returns(
    reward: &Tensor,
    terminated: &Tensor,
    truncated: &Tensor,
    num_envs: usize,
    (gamma, lambda): (f64, f64),
    limits: TimeLimits,
) -> Result<Recursion> {
    let goes_on = terminated.affine(-1.0, 1.0)?;
    let joined = (&goes_on * truncated.affine(-1.0, 1.0)?)?;
    let keep = match limits {
        TimeLimits::Bootstrap => goes_on,
        TimeLimits::Terminal | TimeLimits::Ignore => joined.clone(),
    };
    Ok(Recursion {
        x: reward.clone(),
        keep,
        joined,
        sequences: num_envs,
        gain: gamma,
        mix: lambda,
    })
}

/// `V` of the next observation of each row: the value of the environment's next row, or `at_end` of the row where the episode or
/// the rollout ends.
///
/// # Shapes
/// `value`, `at_end` and `ended` have `T E` values.
pub fn next_values(value: &[f32], at_end: &[f32], ended: &[bool], num_envs: usize) -> Vec<f32> {
    let later = |i: usize| value.get(i + num_envs).filter(|_| !ended[i]);
    let rows = at_end.iter().enumerate();
    rows.map(|(i, at_end)| *later(i).unwrap_or(at_end))
        .collect()
}

/// `(A - mean) / (std + eps)` with the deviation of `n` values whose divisor is `n - ddof`: 1 for the sample's deviation, as is usual.
///
/// # Shapes
/// `advantage` of any shape, and the result of the same.
///
/// # Errors
/// If the device fails.
pub fn normalised(advantage: &Tensor, ddof: usize, eps: f64) -> Result<Tensor> {
    let values = advantage.to_dtype(DType::F64)?;
    let apart = values.broadcast_sub(&values.mean_all()?)?;
    let divisor = apart.elem_count().saturating_sub(ddof).max(1) as f64;
    let std = (apart.sqr()?.sum_all()? / divisor)?.sqrt()?;
    apart.broadcast_div(&(std + eps)?)?.to_dtype(DType::F32)
}

/// `1 - Var(R - V) / Var(R)`: 1 for a perfect value, 0 for one that says no more than the mean, `None` where all returns are equal.
///
/// # Shapes
/// Both of the same length.
pub fn explained_variance(returns: &[f32], value: &[f32]) -> Option<f64> {
    let errors = returns.iter().zip(value);
    let errors = errors.map(|(r, v)| f64::from(*r) - f64::from(*v));
    let total = variance(returns.iter().map(|r| f64::from(*r)));
    (total > 0.0).then(|| 1.0 - variance(errors) / total)
}

fn variance(values: impl Iterator<Item = f64> + Clone) -> f64 {
    let count = values.clone().count().max(1) as f64;
    let mean = values.clone().sum::<f64>() / count;
    values.map(|x| (x - mean).powi(2)).sum::<f64>() / count
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    const NONE: [f32; 3] = [0.0; 3];

    fn advantages(terminated: [f32; 3], truncated: [f32; 3], limits: TimeLimits) -> Vec<f32> {
        let rollout = Rollout {
            reward: &[1.0, 2.0, 4.0],
            value: &[10.0, 20.0, 40.0],
            // the second one differs from the value of the third row: an episode may end there
            next_value: &[20.0, 30.0, 50.0],
            terminated: &terminated,
            truncated: &truncated,
            num_envs: 1,
        };
        gae(&rollout, 0.5, 0.5, limits)
    }

    #[test]
    fn errors_are_discounted_backwards() {
        // d = 1 + 10 - 10, 2 + 15 - 20, 4 + 25 - 40
        let expected = [
            1.0 + 0.25 * (-3.0 + 0.25 * -11.0),
            -3.0 + 0.25 * -11.0,
            -11.0,
        ];
        for limits in [
            TimeLimits::Bootstrap,
            TimeLimits::Terminal,
            TimeLimits::Ignore,
        ] {
            assert_eq!(advantages(NONE, NONE, limits), expected);
        }
    }

    #[test]
    fn nothing_leaks_over_a_terminal_state() {
        for limits in [
            TimeLimits::Bootstrap,
            TimeLimits::Terminal,
            TimeLimits::Ignore,
        ] {
            let found = advantages([0.0, 1.0, 0.0], NONE, limits);
            assert_eq!(found, [1.0 + 0.25 * -18.0, -18.0, -11.0]);
            // terminal and at the limit in the same step: terminal
            assert_eq!(advantages([0.0, 1.0, 0.0], [0.0, 1.0, 0.0], limits), found);
        }
    }

    #[test]
    fn a_time_limit_bootstraps_from_the_last_observation_and_cuts_the_trace() {
        let at_two = |limits| advantages(NONE, [0.0, 1.0, 0.0], limits);
        assert_eq!(
            at_two(TimeLimits::Bootstrap),
            [1.0 + 0.25 * -3.0, -3.0, -11.0]
        );
        assert_eq!(
            at_two(TimeLimits::Terminal),
            [1.0 + 0.25 * -18.0, -18.0, -11.0]
        );
        assert_eq!(at_two(TimeLimits::Ignore), [1.0, 0.0, -11.0]);
    }

    #[test]
    fn environments_do_not_mix() {
        let (first, second) = ([1.0, 2.0, 4.0], [-5.0, 0.0, 3.0]);
        let (value, next) = ([1.0, -1.0, 2.0], [-1.0, 2.0, 7.0]);
        let both = |a: [f32; 3], b: [f32; 3]| [a[0], b[0], a[1], b[1], a[2], b[2]];
        let alone = |reward: [f32; 3], terminated: [f32; 3]| {
            let rollout = Rollout {
                reward: &reward,
                value: &value,
                next_value: &next,
                terminated: &terminated,
                truncated: &NONE,
                num_envs: 1,
            };
            gae(&rollout, 0.9, 0.8, TimeLimits::Bootstrap)
        };
        let together = Rollout {
            reward: &both(first, second),
            value: &both(value, value),
            next_value: &both(next, next),
            terminated: &both([0.0, 1.0, 0.0], NONE),
            truncated: &[0.0; 6],
            num_envs: 2,
        };
        let together = gae(&together, 0.9, 0.8, TimeLimits::Bootstrap);
        let (a, b) = (alone(first, [0.0, 1.0, 0.0]), alone(second, NONE));
        assert_eq!(together, [a[0], b[0], a[1], b[1], a[2], b[2]]);
    }

    /// With `lambda = 1` the return is the discounted sum of rewards, whatever the values are.
    #[test]
    fn lambda_one_gives_the_discounted_return() {
        let value = [0.3, -2.0, 5.0, 1.0];
        let next = next_values(&value, &[9.0; 4], &[false, false, false, false], 1);
        assert_eq!(next, [-2.0, 5.0, 1.0, 9.0]);
        let rollout = Rollout {
            reward: &[1.0; 4],
            value: &value,
            next_value: &next,
            terminated: &[0.0; 4],
            truncated: &[0.0; 4],
            num_envs: 1,
        };
        let advantage = gae(&rollout, 0.5, 1.0, TimeLimits::Bootstrap);
        let expected = 1.0 + 0.5 + 0.25 + 0.125 + 0.0625 * 9.0;
        assert!((advantage[0] + value[0] - expected).abs() < 1e-6);
    }

    #[test]
    fn next_values_stop_at_ends() {
        let (value, at_end) = ([1.0, 2.0, 3.0, 4.0], [10.0, 20.0, 30.0, 40.0]);
        let ended = [false, true, false, false];
        assert_eq!(
            next_values(&value, &at_end, &ended, 2),
            [3.0, 20.0, 30.0, 40.0]
        );
    }

    #[test]
    fn normalised_advantages_have_mean_zero_and_deviation_one() -> Result<()> {
        let advantage = Tensor::new(&[1f32, 2.0, 3.0, 6.0], &Device::Cpu)?;
        let found = normalised(&advantage, 1, 0.0)?.to_vec1::<f32>()?;
        let std = (14.0f32 / 3.0).sqrt();
        for (found, apart) in found.iter().zip([-2.0, -1.0, 0.0, 3.0]) {
            assert!((found - apart / std).abs() < 1e-6);
        }
        let single = normalised(&Tensor::new(&[5f32], &Device::Cpu)?, 1, 1e-8)?;
        assert_eq!(single.to_vec1::<f32>()?, [0.0]);
        Ok(())
    }

    #[test]
    fn explained_variance_is_one_for_the_truth_and_zero_for_the_mean() {
        let returns = [1.0, 2.0, 6.0];
        assert_eq!(explained_variance(&returns, &returns), Some(1.0));
        assert_eq!(explained_variance(&returns, &[3.0; 3]), Some(0.0));
        assert_eq!(explained_variance(&[2.0; 3], &[1.0, 2.0, 3.0]), None);
    }
}
