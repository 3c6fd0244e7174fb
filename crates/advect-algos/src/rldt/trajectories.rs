//! Which trajectories a batch is made of (rldt.md section 5).

use std::collections::BTreeMap;

use advect_rng::Stream;

use super::config::Balance;

/// Rollouts in time order, whose rows alternate over the environments.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// Rollouts kept, the fresh one last.
    pub rollouts: usize,
    /// Steps of each.
    pub steps: usize,
    /// Environments.
    pub envs: usize,
}

impl Shape {
    /// The shape of `rows` transitions.
    pub fn of(rows: usize, steps: usize, envs: usize) -> Self {
        let rollouts = rows / (steps * envs).max(1);
        Self {
            rollouts,
            steps,
            envs,
        }
    }

    /// Trajectories: what one environment did in one rollout; number `i envs + e`.
    pub fn trajectories(self) -> usize {
        self.rollouts * self.envs
    }

    /// First fresh trajectory.
    pub fn first_fresh(self) -> usize {
        self.trajectories() - self.envs.min(self.trajectories())
    }

    /// Rows of the given trajectories, step by step: `[steps, picked]`.
    pub fn rows(self, picked: &[usize]) -> Vec<u32> {
        let row = |step: usize, j: usize| {
            let (rollout, env) = (j / self.envs, j % self.envs);
            ((rollout * self.steps + step) * self.envs + env) as u32
        };
        (0..self.steps)
            .flat_map(|step| picked.iter().map(move |j| row(step, *j)))
            .collect()
    }

    /// Sum of the rewards of every trajectory.
    pub fn returns(self, reward: &[f32]) -> Vec<f64> {
        let mut returns = vec![0.0; self.trajectories()];
        for (row, reward) in reward.iter().enumerate() {
            let (time, env) = (row / self.envs, row % self.envs);
            returns[time / self.steps * self.envs + env] += f64::from(*reward);
        }
        returns
    }

    /// `envs` trajectories in random order: a share of fresh ones, `max(fresh / all, at_least)` rounded up, the rest from the old ones.
    pub fn pick(
        self,
        at_least: f64,
        balance: Balance,
        reward: &[f32],
        stream: &mut Stream,
    ) -> Vec<usize> {
        let first = self.first_fresh();
        let share = (self.envs as f64 / self.trajectories() as f64).max(at_least);
        let fresh = if first == 0 {
            self.envs
        } else {
            ((share * self.envs as f64).ceil() as usize).clamp(1, self.envs)
        };
        let mut picked = without_replacement(first..self.trajectories(), fresh, stream);
        let old = self.envs - fresh;
        picked.extend(match balance {
            Balance::Uniform => without_replacement(0..first, old, stream),
            Balance::ByReturn => {
                let returns = self.returns(reward);
                in_groups(&returns[..first], |total| total.floor() as i64, old, stream)
            }
            Balance::ByReward => {
                let sizes: Vec<f32> = reward.iter().map(|r| r.abs()).collect();
                let sizes = self.returns(&sizes);
                in_groups(&sizes[..first], |size| i64::from(size > 0.0), old, stream)
            }
        });
        shuffle(&mut picked, stream);
        picked
    }
}

/// A uniform permutation in place.
fn shuffle<T>(items: &mut [T], stream: &mut Stream) {
    for i in (1..items.len()).rev() {
        items.swap(i, stream.below(i as u64 + 1) as usize);
    }
}

/// `count` different numbers of a range that holds as many.
fn without_replacement(
    range: std::ops::Range<usize>,
    count: usize,
    stream: &mut Stream,
) -> Vec<usize> {
    let mut all: Vec<usize> = range.collect();
    let count = count.min(all.len());
    for i in 0..count {
        let j = i + stream.below((all.len() - i) as u64) as usize;
        all.swap(i, j);
    }
    all.truncate(count);
    all
}

/// `some` different trajectories of `count`, or all.
pub fn some_of(count: usize, some: usize, stream: &mut Stream) -> Vec<usize> {
    without_replacement(0..count, some, stream)
}

/// `count` trajectories, on average as many of every group as of any other, with replacement.
fn in_groups(
    totals: &[f64],
    group: impl Fn(f64) -> i64,
    count: usize,
    stream: &mut Stream,
) -> Vec<usize> {
    let mut groups = BTreeMap::<i64, Vec<usize>>::new();
    for (j, total) in totals.iter().enumerate() {
        groups.entry(group(*total)).or_default().push(j);
    }
    let mut groups: Vec<Vec<usize>> = groups.into_values().collect();
    // those that come first get one more where the count is no multiple
    shuffle(&mut groups, stream);
    let pick = |i: usize| groups.get(i % groups.len().max(1));
    (0..count)
        .filter_map(pick)
        .map(|group| group[stream.below(group.len() as u64) as usize])
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape {
        rollouts: 3,
        steps: 2,
        envs: 4,
    };

    #[test]
    fn rows_are_those_of_one_environment_in_one_rollout() {
        // rollout 1 begins at row 8; its environment 2 has the rows 10 and 14
        assert_eq!(SHAPE.rows(&[6]), [10, 14]);
        assert_eq!(SHAPE.rows(&[6, 0]), [10, 0, 14, 4]);
        assert_eq!(Shape::of(24, 2, 4), SHAPE);
        let reward: Vec<f32> = (0..24).map(|row| row as f32).collect();
        assert_eq!(SHAPE.returns(&reward)[6], 24.0);
    }

    #[test]
    fn batches_hold_their_share_of_fresh_trajectories_once_each() {
        let mut stream = Stream::new(0, "picks");
        for (at_least, fresh) in [(0.33, 2), (0.5, 2), (1.0, 4), (0.0, 2)] {
            let picked = SHAPE.pick(at_least, Balance::Uniform, &[], &mut stream);
            let mut sorted = picked.clone();
            sorted.sort_unstable();
            sorted.dedup();
            assert_eq!((picked.len(), sorted.len()), (4, 4), "{picked:?}");
            assert_eq!(picked.iter().filter(|j| **j >= 8).count(), fresh);
        }
        let first = Shape {
            rollouts: 1,
            ..SHAPE
        };
        let mut all = first.pick(0.33, Balance::Uniform, &[], &mut stream);
        all.sort_unstable();
        assert_eq!(all, [0, 1, 2, 3]);
    }

    #[test]
    fn batches_balanced_by_reward_tell_a_reward_that_sums_to_nothing_from_none() {
        let shape = Shape {
            rollouts: 2,
            steps: 2,
            envs: 8,
        };
        // old trajectory 3 had rewards of 1 and -1, the others none
        let mut reward = vec![0.0; 32];
        (reward[3], reward[11]) = (1.0, -1.0);
        let mut stream = Stream::new(0, "picks");
        let count = |balance, stream: &mut Stream| {
            let picked = (0..200).flat_map(|_| shape.pick(0.25, balance, &reward, stream));
            picked.filter(|j| *j == 3).count()
        };
        // half of the four old ones
        let found = count(Balance::ByReward, &mut stream);
        assert!((380..=420).contains(&found), "{found}");
        let found = count(Balance::Uniform, &mut stream);
        assert!((60..=140).contains(&found), "{found}");
    }

    #[test]
    fn some_trajectories_are_different_ones() {
        let mut stream = Stream::new(0, "some");
        let mut all: Vec<usize> = some_of(6, 4, &mut stream);
        all.sort_unstable();
        all.dedup();
        assert!(all.len() == 4 && all.iter().all(|j| *j < 6), "{all:?}");
        assert_eq!(some_of(3, 16, &mut stream).len(), 3);
    }

    #[test]
    fn balanced_batches_take_as_many_of_every_return() {
        let shape = Shape {
            rollouts: 2,
            steps: 1,
            envs: 10,
        };
        // of the old trajectories only number 3 had a reward
        let mut reward = vec![0.0; 20];
        reward[3] = 1.0;
        let mut stream = Stream::new(0, "picks");
        let picked = shape.pick(0.2, Balance::ByReturn, &reward, &mut stream);
        assert_eq!(picked.len(), 10);
        assert!(
            picked.iter().filter(|j| **j == 3).count() >= 2,
            "{picked:?}"
        );
        // half of five old ones, on both sides of the split between the critics
        let mut counts = [0; 2];
        for _ in 0..200 {
            let picked = shape.pick(0.2, Balance::ByReturn, &reward, &mut stream);
            for (place, _) in picked.iter().enumerate().filter(|(_, j)| **j == 3) {
                counts[place % 2] += 1;
            }
        }
        assert!(counts.iter().all(|n| (200..300).contains(n)), "{counts:?}");
    }
}
