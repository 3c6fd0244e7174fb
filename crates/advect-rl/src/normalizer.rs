//! Running normalisers that belong to an agent: its evaluations and checkpoints carry them.
//!
//! The statistics and formulas are those of [`advect_envs::normalize`]; here they take tensors, and their state is an entry of a
//! [`StateDict`].

use advect_envs::normalize::{
    NormalizeObs, NormalizeObsConfig, NormalizeReward, NormalizeRewardConfig, RunningMoments,
};
use advect_envs::{EnvError, EnvSpec};
use candle_core::{Device, Error, Result, Tensor};

use crate::state::{StateDict, StateError};

/// Observations in units of their running mean and deviation: `clip((s - mean) / sqrt(var + 1e-8), -clip, clip)`.
///
/// Counting and applying are apart: an agent counts the observations that it acts on while it collects data, and nothing in an evaluation.
#[derive(Debug, Clone, PartialEq)]
pub struct ObsNormalizer {
    inner: NormalizeObs,
}

impl ObsNormalizer {
    /// Before the first observation of width `obs_dim`; a `clip` of 0 does not clip.
    ///
    /// # Errors
    /// If `clip` is below 0.
    pub fn new(obs_dim: usize, clip: f64) -> Result<Self> {
        let config = NormalizeObsConfig {
            clip: or_none(clip),
            ..NormalizeObsConfig::default()
        };
        let inner = NormalizeObs::new(&named(obs_dim), config).map_err(Error::wrap)?;
        Ok(Self { inner })
    }

    /// Counts a batch of observations, those of one step of all environments.
    ///
    /// # Shapes
    /// `obs [E, o]`.
    ///
    /// # Errors
    /// If an observation is not finite or has another width.
    pub fn count(&mut self, obs: &Tensor) -> Result<()> {
        self.inner.count(&host(obs)?).map_err(Error::wrap)
    }

    /// Normalises observations by the current statistics, without counting them.
    ///
    /// # Shapes
    /// `obs [n, o]` -> `[n, o]`, a constant.
    ///
    /// # Errors
    /// If they have another width.
    pub fn apply(&self, obs: &Tensor) -> Result<Tensor> {
        let mut values = host(obs)?;
        self.inner.apply(&mut values).map_err(Error::wrap)?;
        Tensor::from_vec(values, obs.shape(), obs.device())
    }

    /// The rollout of `num_envs` environments as the normaliser saw it: each step's observations are counted, and then they and their next
    /// ones are normalised with the statistics of that time.
    ///
    /// # Shapes
    /// `obs` and `next_obs` `[T E, o]` -> the same two, constants.
    ///
    /// # Errors
    /// If the rows are no whole number of steps, are not finite or have another width.
    pub fn follow(
        &mut self,
        obs: &Tensor,
        next_obs: &Tensor,
        num_envs: usize,
    ) -> Result<(Tensor, Tensor)> {
        let (mut now, mut next) = (host(obs)?, host(next_obs)?);
        let step = (num_envs * obs.dim(1)?).max(1);
        for (now, next) in now.chunks_mut(step).zip(next.chunks_mut(step)) {
            self.inner.count(now).map_err(Error::wrap)?;
            self.inner.apply(now).map_err(Error::wrap)?;
            self.inner.apply(next).map_err(Error::wrap)?;
        }
        let tensor = |values, like: &Tensor| Tensor::from_vec(values, like.shape(), like.device());
        Ok((tensor(now, obs)?, tensor(next, next_obs)?))
    }

    /// The statistics.
    pub fn moments(&self) -> &RunningMoments {
        self.inner.moments()
    }

    /// Writes the statistics as `{name}`.
    pub fn save(&self, name: &str, out: &mut StateDict) {
        out.put_vec(name, self.inner.save_state());
    }

    /// Continues from what [`ObsNormalizer::save`] wrote.
    ///
    /// # Errors
    /// If the entry is missing or of another width.
    pub fn load(&mut self, name: &str, from: &StateDict) -> std::result::Result<(), StateError> {
        let state = from.vec::<u8>(name)?;
        self.inner.load_state(state).map_err(refused(name))
    }
}

/// Rewards in units of the deviation of the running discounted return `G`:
/// `G <- gamma G + r`, `clip(r / sqrt(Var[G] + 1e-8), -clip, clip)`.
#[derive(Debug, Clone, PartialEq)]
pub struct RewardNormalizer {
    inner: NormalizeReward,
}

impl RewardNormalizer {
    /// Before the first reward of `num_envs` environments; a `clip` of 0 does not clip.
    ///
    /// # Errors
    /// Unless `gamma` is in `[0, 1]` and `clip` at least 0.
    pub fn new(num_envs: usize, gamma: f64, clip: f64) -> Result<Self> {
        let config = NormalizeRewardConfig {
            gamma,
            clip: or_none(clip),
            ..NormalizeRewardConfig::default()
        };
        let inner = NormalizeReward::new(&named(1), num_envs, config).map_err(Error::wrap)?;
        Ok(Self { inner })
    }

    /// Sets the running returns `[E]` instead of beginning at 0.
    ///
    /// FM-IRL begins at the first rewards and counts them once more (fm_irl.md section 1.4).
    ///
    /// # Errors
    /// If there is another number of them.
    pub fn begin_at(&mut self, returns: &[f32]) -> Result<()> {
        self.inner.begin_at(returns).map_err(Error::wrap)
    }

    /// Counts and normalises the rewards of a rollout in place, step by step.
    ///
    /// # Shapes
    /// `reward` and `ended` have `T E` values; `ended` says whose episode a step ended.
    ///
    /// # Errors
    /// If the rows are no whole number of steps or a return is not finite.
    pub fn follow(&mut self, reward: &mut [f32], ended: &[bool]) -> Result<()> {
        let num_envs = self.inner.returns().len().max(1);
        let steps = reward.chunks_mut(num_envs).zip(ended.chunks(num_envs));
        for (reward, ended) in steps {
            let counted = self.inner.normalize_rewards(reward, ended);
            counted.map_err(Error::wrap)?;
        }
        Ok(())
    }

    /// The statistics of the running returns, one column.
    pub fn moments(&self) -> &RunningMoments {
        self.inner.moments()
    }

    /// The running returns `[E]`.
    pub fn returns(&self) -> &[f64] {
        self.inner.returns()
    }

    /// Writes statistics and running returns as `{name}`.
    pub fn save(&self, name: &str, out: &mut StateDict) {
        out.put_vec(name, self.inner.save_state());
    }

    /// Continues from what [`RewardNormalizer::save`] wrote.
    ///
    /// # Errors
    /// If the entry is missing or of another number of environments.
    pub fn load(&mut self, name: &str, from: &StateDict) -> std::result::Result<(), StateError> {
        let state = from.vec::<u8>(name)?;
        self.inner.load_state(state).map_err(refused(name))
    }
}

/// A clip, where 0 stands for none.
fn or_none(clip: f64) -> f64 {
    if clip == 0.0 { f64::INFINITY } else { clip }
}

/// What the normalisers' errors name: no environment, but the agent that has them.
fn named(obs_dim: usize) -> EnvSpec {
    EnvSpec::symmetric("the agent's normaliser", obs_dim, 1, 1.0)
}

fn host(x: &Tensor) -> Result<Vec<f32>> {
    x.to_device(&Device::Cpu)?.flatten_all()?.to_vec1()
}

fn refused(name: &str) -> impl Fn(EnvError) -> StateError + '_ {
    move |error| StateError::Value {
        name: name.to_owned(),
        problem: error.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn obs() -> Result<Tensor> {
        Tensor::new(
            &[[1f32, 10.0], [3.0, 30.0], [5.0, -10.0], [7.0, 0.0]],
            &Device::Cpu,
        )
    }

    #[test]
    fn a_rollout_is_normalised_with_the_statistics_of_each_step() -> Result<()> {
        let mut all = ObsNormalizer::new(2, 10.0)?;
        let mut steps = all.clone();
        let (obs, next) = (obs()?, (obs()? + 1.0)?);
        let (found, found_next) = all.follow(&obs, &next, 2)?;
        for step in 0..2 {
            let rows = obs.narrow(0, 2 * step, 2)?;
            steps.count(&rows)?;
            let expected = steps.apply(&rows)?.to_vec2::<f32>()?;
            assert_eq!(found.narrow(0, 2 * step, 2)?.to_vec2::<f32>()?, expected);
            let expected = steps.apply(&next.narrow(0, 2 * step, 2)?)?;
            let found = found_next.narrow(0, 2 * step, 2)?;
            assert_eq!(found.to_vec2::<f32>()?, expected.to_vec2::<f32>()?);
        }
        assert_eq!(all, steps);
        assert!((all.moments().mean()[0] - 4.0).abs() < 1e-3);
        Ok(())
    }

    #[test]
    fn applying_counts_nothing_and_a_loaded_normaliser_goes_on() -> Result<()> {
        let mut first = ObsNormalizer::new(2, 10.0)?;
        first.count(&obs()?)?;
        let before = first.clone();
        first.apply(&(obs()? * 5.0)?)?;
        assert_eq!(first, before);
        let mut state = StateDict::new();
        first.save("obs", &mut state);
        let mut second = ObsNormalizer::new(2, 10.0)?;
        second.load("obs", &state).map_err(Error::wrap)?;
        assert_eq!(first, second);
        let mut other = ObsNormalizer::new(3, 10.0)?;
        let error = other.load("obs", &state).unwrap_err().to_string();
        assert!(
            error.contains("`obs`") && error.contains("2 columns"),
            "{error}"
        );
        Ok(())
    }

    #[test]
    fn constant_rewards_reach_their_discounted_sum_and_keep_their_sign() -> Result<()> {
        let mut normalizer = RewardNormalizer::new(1, 0.99, 0.0)?;
        let mut reward = vec![-1.0; 2000];
        normalizer.follow(&mut reward, &[false; 2000])?;
        assert!((normalizer.returns()[0] + 100.0).abs() < 1e-4);
        assert!(reward.iter().all(|r| r.is_finite() && *r < 0.0));
        normalizer.follow(&mut [-1.0], &[true])?;
        assert_eq!(normalizer.returns(), [0.0]);
        normalizer.begin_at(&[7.0])?;
        assert_eq!(normalizer.returns(), [7.0]);
        assert!(normalizer.begin_at(&[7.0, 8.0]).is_err());
        Ok(())
    }
}
