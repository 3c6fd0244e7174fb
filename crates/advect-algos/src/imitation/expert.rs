//! The expert's transitions, as the discriminator sees them.

use std::path::Path;

use advect_rl::{Demonstrations, EnvSpec, TrainError};
use advect_rng::Stream;
use candle_core::{Device, Result, Tensor};

use super::config::ImitationConfig;

/// Pairs of state and action, of which a random part is used.
#[derive(Debug)]
pub struct Expert {
    demonstrations: Demonstrations,
    kept: Vec<u32>,
}

/// Reads the file of a configuration.
///
/// # Errors
/// [`TrainError::Data`] for a file that cannot be read; [`TrainError::Invalid`] if there is none, or with the dimension that is not the environment's.
pub(super) fn read(
    config: &ImitationConfig,
    env: &EnvSpec,
) -> std::result::Result<Demonstrations, TrainError> {
    Demonstrations::read(Path::new(&config.data), env, config.episodes)
}

fn invalid(config: &ImitationConfig, problem: String, fix: &str) -> TrainError {
    TrainError::Invalid {
        what: format!("data = {:?}", config.data),
        problem,
        fix: fix.into(),
    }
}

impl Expert {
    /// Keeps `expert_fraction` of the transitions, drawn from `stream`.
    ///
    /// # Errors
    /// [`TrainError::Invalid`] if actions are chunks, or if the kept part does not fill a minibatch.
    pub fn new(
        demonstrations: Demonstrations,
        config: &ImitationConfig,
        stream: Stream,
    ) -> std::result::Result<Self, TrainError> {
        if demonstrations.chunk() != 1 {
            let problem = format!(
                "the environment's action is {} of its",
                demonstrations.chunk()
            );
            let fix = "imitate in an environment without `action_chunk`";
            return Err(invalid(config, problem, fix));
        }
        let kept = (demonstrations.len() as f64 * config.expert_fraction).round() as usize;
        if kept < config.disc_batch {
            let (found, rows) = (kept, config.disc_batch);
            let problem = format!("{found} transitions are kept, a minibatch takes {rows}");
            let fix = "give more episodes, or a smaller `disc_batch`";
            return Err(invalid(config, problem, fix));
        }
        let mut expert = Self {
            demonstrations,
            kept: vec![0; kept],
        };
        expert.choose(stream);
        Ok(expert)
    }

    /// Keeps as many other transitions, drawn from `stream`.
    pub(super) fn choose(&mut self, mut stream: Stream) {
        let count = self.kept.len();
        self.kept = stream.permutation(self.demonstrations.len());
        self.kept.truncate(count);
    }

    /// A hash of all numbers of the file.
    pub fn fingerprint(&self) -> u64 {
        self.demonstrations.fingerprint()
    }

    /// Transitions that are used.
    pub fn len(&self) -> usize {
        self.kept.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// `[s; a]` of the kept transitions `index`, states in the present units of the student, which `normalized` gives.
    ///
    /// # Shapes
    /// To `[index, o + d]`.
    ///
    /// # Errors
    /// If there is no such transition.
    pub fn rows(
        &self,
        index: &[u32],
        normalized: &dyn Fn(&Tensor) -> Result<Tensor>,
        device: &Device,
    ) -> Result<Tensor> {
        let windows: Vec<u32> = index.iter().map(|i| self.kept[*i as usize]).collect();
        let (obs, act) = self.demonstrations.gather(&windows, device)?;
        Tensor::cat(&[&normalized(&obs)?, &act], 1)
    }
}
