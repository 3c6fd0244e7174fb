//! Rewards in units of the deviation of the running return.

use super::moments::RunningMoments;
use super::{check_bounds, check_setting, flag};
use crate::state::{StateReader, StateWriter};
use crate::{EnvError, EnvSpec, StepBuffers};

/// Numbers of [`NormalizeReward`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NormalizeRewardConfig {
    /// Discount of the running return; 0.99.
    pub gamma: f64,
    /// Added to the variance; 1e-8.
    pub eps: f64,
    /// Largest absolute value of a normalised reward; infinite, which is none. Stable-Baselines3's `VecNormalize` has 10.
    pub clip: f64,
}

impl Default for NormalizeRewardConfig {
    fn default() -> Self {
        Self {
            gamma: 0.99,
            eps: 1e-8,
            clip: f64::INFINITY,
        }
    }
}

/// Divides rewards by the deviation of the running discounted return `G` of each environment:
///
/// ```text
/// G_i <- gamma G_i + r_i,   r~_i = clip(r_i / sqrt(Var[G] + eps), -clip, clip)
/// ```
///
/// `G_i` begins at 0 after the end of an episode, terminated or truncated, and the variance is that over all environments and steps. The
/// mean is not subtracted, so signs stay. This is the recursion of Stable-Baselines3's `VecNormalize`; Gymnasium's wrapper drops the
/// discounted past in the terminating step already.
#[derive(Debug, Clone, PartialEq)]
pub struct NormalizeReward {
    config: NormalizeRewardConfig,
    moments: RunningMoments,
    returns: Vec<f64>,
    frozen: bool,
    id: String,
}

impl NormalizeReward {
    /// Before the first reward of `len` environments with this spec.
    ///
    /// # Errors
    /// [`EnvError::BadSetting`] unless `gamma` is in `[0, 1]` and `eps` and `clip` are above 0.
    pub fn new(
        spec: &EnvSpec,
        len: usize,
        config: NormalizeRewardConfig,
    ) -> Result<Self, EnvError> {
        let in_range = (0.0..=1.0).contains(&config.gamma);
        check_setting(&spec.id, "gamma", config.gamma, in_range, "in [0, 1]")?;
        check_bounds(&spec.id, config.eps, config.clip)?;
        Ok(Self {
            config,
            moments: RunningMoments::new(&spec.id, "return", 1),
            returns: vec![0.0; len],
            frozen: false,
            id: spec.id.clone(),
        })
    }

    /// Counts the returns unless frozen and normalises `out.reward`; once after each step of the vector.
    ///
    /// # Errors
    /// As [`NormalizeReward::normalize_rewards`].
    pub fn normalize(&mut self, out: &mut StepBuffers) -> Result<(), EnvError> {
        let ended: Vec<bool> = out.ended().collect();
        self.normalize_rewards(&mut out.reward, &ended)
    }

    /// The same for rewards that a learner made `[E]`, of one step of each environment; `ended [E]` says whose episode that step ended.
    ///
    /// # Errors
    /// [`EnvError::BadLength`]; [`EnvError::NonFinite`] for a return, with nothing changed.
    pub fn normalize_rewards(
        &mut self,
        reward: &mut [f32],
        ended: &[bool],
    ) -> Result<(), EnvError> {
        self.check_len("rewards", reward.len())?;
        self.check_len("ends of episodes", ended.len())?;
        let mut returns = self.returns.clone();
        for (total, reward) in returns.iter_mut().zip(&*reward) {
            *total = self.config.gamma * *total + f64::from(*reward);
        }
        match self.frozen {
            true => self.moments.check(&returns)?,
            false => self.moments.update(&returns)?,
        }
        self.returns = returns;
        for (total, ended) in self.returns.iter_mut().zip(ended) {
            *total = if *ended { 0.0 } else { *total };
        }
        self.apply(reward);
        Ok(())
    }

    /// Normalises any rewards by the current statistics, without counting them.
    pub fn apply(&self, reward: &mut [f32]) {
        let NormalizeRewardConfig { eps, clip, .. } = self.config;
        let deviation = (self.moments.var()[0] + eps).sqrt();
        for reward in reward {
            *reward = (f64::from(*reward) / deviation).clamp(-clip, clip) as f32;
        }
    }

    /// Begins all running returns at 0: after a reset of the vector in the middle of its episodes.
    pub fn reset(&mut self) {
        self.returns.fill(0.0);
    }

    /// Sets the running returns `[E]`: they begin elsewhere than at 0.
    ///
    /// # Errors
    /// [`EnvError::BadLength`], with nothing changed.
    pub fn begin_at(&mut self, returns: &[f32]) -> Result<(), EnvError> {
        self.check_len("running returns", returns.len())?;
        self.returns = returns.iter().map(|total| f64::from(*total)).collect();
        Ok(())
    }

    /// The running return of each environment.
    pub fn returns(&self) -> &[f64] {
        &self.returns
    }

    /// Stops counting (evaluation), or goes on with it. The running returns go on in either case.
    pub fn set_frozen(&mut self, frozen: bool) {
        self.frozen = frozen;
    }

    /// Whether returns are not counted.
    pub fn is_frozen(&self) -> bool {
        self.frozen
    }

    /// The statistics of the running returns, one column.
    pub fn moments(&self) -> &RunningMoments {
        &self.moments
    }

    /// Statistics, running returns and whether the statistics are frozen; the config is the caller's.
    pub fn save_state(&self) -> Vec<u8> {
        StateWriter::new()
            .u8(u8::from(self.frozen))
            .u64(self.returns.len() as u64)
            .f64s(&self.returns)
            .block(&self.moments.save_state())
            .finish()
    }

    /// Continues from what [`NormalizeReward::save_state`] wrote.
    ///
    /// # Errors
    /// [`EnvError::BadState`]; nothing is changed then.
    pub fn load_state(&mut self, state: &[u8]) -> Result<(), EnvError> {
        let mut reader = StateReader::new(&self.id, state);
        let frozen = flag(&mut reader, "frozen")?;
        let (len, here) = (reader.u64()?, self.returns.len());
        if len != here as u64 {
            return Err(reader.bad(format!("returns of {len} environments saved, {here} here")));
        }
        let mut returns = vec![0.0; here];
        reader.f64s(&mut returns)?;
        if returns.iter().any(|total| !total.is_finite()) {
            return Err(reader.bad("a running return is not finite".to_owned()));
        }
        let moments = reader.block()?;
        reader.finish()?;
        self.moments.load_state(moments)?;
        (self.returns, self.frozen) = (returns, frozen);
        Ok(())
    }

    fn check_len(&self, what: &'static str, found: usize) -> Result<(), EnvError> {
        let wanted = self.returns.len();
        if wanted == found {
            return Ok(());
        }
        Err(EnvError::BadLength {
            id: self.id.clone(),
            what,
            wanted,
            found,
        })
    }
}
