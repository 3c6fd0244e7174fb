//! Observations in units of their running mean and deviation.

use super::moments::RunningMoments;
use super::{check_bounds, flag};
use crate::state::{StateReader, StateWriter};
use crate::{EnvError, EnvSpec, StepBuffers};

/// Numbers of [`NormalizeObs`].
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NormalizeObsConfig {
    /// Added to the variance; 1e-8.
    pub eps: f64,
    /// Largest absolute value of a normalised coordinate; 10. Infinite: none.
    pub clip: f64,
}

impl Default for NormalizeObsConfig {
    fn default() -> Self {
        Self {
            eps: 1e-8,
            clip: 10.0,
        }
    }
}

/// Normalises each coordinate of the observations by the statistics of all environments:
///
/// ```text
/// s~ = clip((s - mean) / sqrt(var + eps), -clip, clip)
/// ```
///
/// The statistics are those of the observations that are acted on: the first of an episode counts, the last (`final_obs` where an episode
/// ended) is normalised only, as in Stable-Baselines3's `VecNormalize`. Goals are normalised like everything else.
///
/// ```
/// use advect_envs::normalize::{NormalizeObs, NormalizeObsConfig};
/// use advect_envs::{VecEnv, make};
/// let mut envs = VecEnv::new(|_| make("Pendulum-v1"), 32, 1, 0)?;
/// let mut out = envs.buffers();
/// let mut normalize = NormalizeObs::new(envs.spec(), NormalizeObsConfig::default())?;
/// envs.reset(&mut out)?;
/// normalize.normalize(&mut out)?;
/// envs.step(&[0.0; 32], &mut out)?;
/// normalize.normalize(&mut out)?;
/// // states from elsewhere, in the same units, without counting them
/// let mut expert = vec![1.0, 0.0, 0.0];
/// normalize.apply(&mut expert)?;
/// # Ok::<(), advect_envs::EnvError>(())
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct NormalizeObs {
    config: NormalizeObsConfig,
    moments: RunningMoments,
    frozen: bool,
    id: String,
}

impl NormalizeObs {
    /// Before the first observation of the environments with this spec.
    ///
    /// # Errors
    /// [`EnvError::BadSetting`] unless `eps` and `clip` are above 0.
    pub fn new(spec: &EnvSpec, config: NormalizeObsConfig) -> Result<Self, EnvError> {
        check_bounds(&spec.id, config.eps, config.clip)?;
        Ok(Self {
            config,
            moments: RunningMoments::new(&spec.id, "observation", spec.obs_dim),
            frozen: false,
            id: spec.id.clone(),
        })
    }

    /// Counts `out.obs` unless frozen, then normalises `obs` and `final_obs`; once after each reset and each step of the vector.
    ///
    /// # Errors
    /// [`EnvError::BadLength`] or [`EnvError::NonFinite`] for buffers that no [`VecEnv`](crate::VecEnv) of this spec filled.
    pub fn normalize(&mut self, out: &mut StepBuffers) -> Result<(), EnvError> {
        self.moments.check(&out.final_obs)?;
        self.count(&out.obs)?;
        self.apply(&mut out.obs)?;
        self.apply(&mut out.final_obs)
    }

    /// Counts observations `[n * obs_dim]` as one batch, unless frozen: those of a learner that has no [`StepBuffers`].
    ///
    /// # Errors
    /// As [`NormalizeObs::normalize`]; nothing is counted then.
    pub fn count(&mut self, obs: &[f32]) -> Result<(), EnvError> {
        match self.frozen {
            true => self.moments.check(obs),
            false => self.moments.update(obs),
        }
    }

    /// Normalises any number of observations `[n * obs_dim]` by the current statistics, without counting them: an expert's, or those of
    /// an evaluation.
    ///
    /// # Errors
    /// [`EnvError::BadLength`] for half an observation.
    pub fn apply(&self, obs: &mut [f32]) -> Result<(), EnvError> {
        self.moments.check_len(obs.len())?;
        let NormalizeObsConfig { eps, clip } = self.config;
        let deviations: Vec<f64> = self
            .moments
            .var()
            .iter()
            .map(|v| (v + eps).sqrt())
            .collect();
        for row in obs.chunks_exact_mut(self.moments.row_len()) {
            let columns = self.moments.mean().iter().zip(&deviations);
            for (x, (mean, deviation)) in row.iter_mut().zip(columns) {
                let normalised = (f64::from(*x) - mean) / deviation;
                *x = normalised.clamp(-clip, clip) as f32;
            }
        }
        Ok(())
    }

    /// Stops counting (evaluation), or goes on with it.
    pub fn set_frozen(&mut self, frozen: bool) {
        self.frozen = frozen;
    }

    /// Whether observations are not counted.
    pub fn is_frozen(&self) -> bool {
        self.frozen
    }

    /// The statistics.
    pub fn moments(&self) -> &RunningMoments {
        &self.moments
    }

    /// Statistics and whether they are frozen; the config is the caller's.
    pub fn save_state(&self) -> Vec<u8> {
        StateWriter::new()
            .u8(u8::from(self.frozen))
            .block(&self.moments.save_state())
            .finish()
    }

    /// Continues from what [`NormalizeObs::save_state`] wrote.
    ///
    /// # Errors
    /// [`EnvError::BadState`]; nothing is changed then.
    pub fn load_state(&mut self, state: &[u8]) -> Result<(), EnvError> {
        let mut reader = StateReader::new(&self.id, state);
        let frozen = flag(&mut reader, "frozen")?;
        let moments = reader.block()?;
        reader.finish()?;
        self.moments.load_state(moments)?;
        self.frozen = frozen;
        Ok(())
    }
}
