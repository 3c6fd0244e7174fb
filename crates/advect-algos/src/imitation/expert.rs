//! The expert's transitions, as the discriminator sees them.

use std::path::Path;

use advect_rl::{Demonstrations, EnvSpec, TrainError};
use advect_rng::Stream;
use candle_core::{Device, Result, Tensor};

use super::config::ImitationConfig;
use crate::ppo::Learner;

/// Pairs of state and action, of which a random part is used.
#[derive(Debug)]
pub struct Expert {
    demonstrations: Demonstrations,
    kept: Vec<u32>,
}

impl Expert {
    /// Reads the file of a configuration and keeps `expert_fraction` of its transitions, drawn from `stream`.
    ///
    /// # Errors
    /// [`TrainError::Data`] for a file that cannot be read; [`TrainError::Invalid`] if there is none, if its dimensions are not the
    /// environment's, or if the kept part does not fill a minibatch.
    pub fn read(
        config: &ImitationConfig,
        env: &EnvSpec,
        mut stream: Stream,
    ) -> std::result::Result<Self, TrainError> {
        let invalid = |problem: String, fix: &str| TrainError::Invalid {
            what: format!("data = {:?}", config.data),
            problem,
            fix: fix.into(),
        };
        if config.data.is_empty() {
            let fix = "give a file: --set data=FILE (`advect demos` makes some)";
            return Err(invalid("there is no expert to imitate".into(), fix));
        }
        let demonstrations = Demonstrations::read(Path::new(&config.data), env, config.episodes)?;
        if demonstrations.chunk() != 1 {
            let problem = format!(
                "{} actions of its make one of {}",
                demonstrations.chunk(),
                env.id
            );
            return Err(invalid(
                problem,
                "imitate in an environment without `action_chunk`",
            ));
        }
        let mut kept = stream.permutation(demonstrations.len());
        kept.truncate((kept.len() as f64 * config.expert_fraction).round() as usize);
        if kept.len() < config.disc_batch {
            let problem = format!(
                "{} transitions are kept, a minibatch takes {}",
                kept.len(),
                config.disc_batch
            );
            return Err(invalid(
                problem,
                "give more episodes, or a smaller `disc_batch`",
            ));
        }
        Ok(Self {
            demonstrations,
            kept,
        })
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

    /// `[s; a]` of the kept transitions `index`, states in the present units of the student.
    ///
    /// # Shapes
    /// To `[index, o + d]`.
    ///
    /// # Errors
    /// If there is no such transition.
    pub fn rows(&self, index: &[u32], student: &Learner, device: &Device) -> Result<Tensor> {
        let windows: Vec<u32> = index.iter().map(|i| self.kept[*i as usize]).collect();
        let (obs, act) = self.demonstrations.gather(&windows, device)?;
        Tensor::cat(&[&student.normalized(&obs)?, &act], 1)
    }
}
