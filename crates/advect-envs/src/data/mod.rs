//! Recorded transitions: read from the formats in use, checked, and written.
//!
//! | format | recognised by |
//! |---|---|
//! | D4RL (HDF5), and ours | a dataset `observations` at the root, or `frames` |
//! | Minari (HDF5) | groups `episode_0`, `episode_1`, ... at the root |
//! | robomimic (HDF5) | groups `data/demo_0`, ... |
//! | OGBench (npz) | a zip archive with `observations.npy` |
//!
//! ```
//! use advect_envs::data::{Builder, Dataset};
//! let mut builder = Builder::new("Pendulum-v1", 3, 1);
//! builder.push(&[1.0, 0.0, 0.0], &[0.5], -1.0, &[0.9, 0.1, 0.2], false);
//! builder.end_episode();
//! let dataset = builder.finish();
//! # let dir = tempfile::tempdir()?;
//! # let path = dir.path().join("one.hdf5");
//! dataset.write(&path)?;
//! assert_eq!(Dataset::read(&path)?, dataset);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod array;
mod builder;
mod d4rl;
mod error;
mod frames;
mod hdf5;
mod minari;
mod npy;
mod npz;
mod robomimic;
mod stats;
mod write;

use std::ops::Range;
use std::path::Path;

pub use builder::Builder;
pub use error::DataError;
pub use frames::Frames;
pub use robomimic::read_with_keys as read_robomimic;
pub use stats::{Column, Stats};

/// Transitions in the order recorded, episode after episode.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Dataset {
    /// Id of the environment, where the file says it.
    pub env: Option<String>,
    /// Numbers of an observation, without those of its frames.
    pub obs_dim: usize,
    /// Numbers of an action.
    pub act_dim: usize,
    /// Observations `[N * obs_dim]`.
    pub obs: Vec<f32>,
    /// Actions `[N * act_dim]`.
    pub act: Vec<f32>,
    /// Rewards `[N]`.
    pub reward: Vec<f32>,
    /// Observations after each transition `[N * obs_dim]`: the true ones, also at the end of an episode.
    pub next_obs: Vec<f32>,
    /// Whether each transition ended in a terminal state `[N]`.
    pub terminated: Vec<bool>,
    /// What observations begin with, where they are frames.
    pub frames: Option<Frames>,
    /// The transitions of each episode. One that does not end in a terminal state was cut off there.
    pub episodes: Vec<Range<usize>>,
}

impl Dataset {
    /// Reads a file of any format of the [table](self).
    ///
    /// # Errors
    /// [`DataError`] with the file, the entry and what is wrong with it: another format, missing entries, shapes or lengths
    /// that do not fit, numbers that are not finite, episodes without an end, sizes that the file cannot hold.
    pub fn read(path: &Path) -> Result<Self, DataError> {
        let dataset = if npz::is_archive(path)? {
            npz::read(path)?
        } else {
            let file = hdf5::File::open(path)?;
            if file.has_dataset("observations") || file.has_dataset(frames::FRAMES) {
                d4rl::read(&file)?
            } else if file.has_group("episode_0") {
                minari::read(&file)?
            } else if file.has_group("data") {
                robomimic::read(&file, &[])?
            } else {
                return Err(DataError::unknown_layout(path, file.entries()));
            }
        };
        dataset.check(path)?;
        Ok(dataset)
    }

    /// Number of transitions.
    pub fn len(&self) -> usize {
        self.reward.len()
    }

    /// Whether there is no transition.
    pub fn is_empty(&self) -> bool {
        self.reward.is_empty()
    }

    /// Sums of rewards of each episode.
    pub fn returns(&self) -> Vec<f64> {
        let sum = |episode: &Range<usize>| {
            let rewards = &self.reward[episode.clone()];
            rewards.iter().map(|reward| f64::from(*reward)).sum()
        };
        self.episodes.iter().map(sum).collect()
    }

    /// The first episodes alone.
    pub fn first_episodes(&self, count: usize) -> Self {
        let episodes = &self.episodes[..count.min(self.episodes.len())];
        let end = episodes.last().map_or(0, |last| last.end);
        Self {
            env: self.env.clone(),
            obs_dim: self.obs_dim,
            act_dim: self.act_dim,
            obs: self.obs[..end * self.obs_dim].to_vec(),
            act: self.act[..end * self.act_dim].to_vec(),
            reward: self.reward[..end].to_vec(),
            next_obs: self.next_obs[..end * self.obs_dim].to_vec(),
            terminated: self.terminated[..end].to_vec(),
            frames: self.frames.as_ref().map(|frames| frames.first(end)),
            episodes: episodes.to_vec(),
        }
    }

    /// Refuses numbers that are not finite, and nothing at all.
    fn check(&self, path: &Path) -> Result<(), DataError> {
        if self.is_empty() {
            return Err(DataError::bad(
                path,
                "observations",
                "there is no transition",
            ));
        }
        let columns = [
            ("observations", &self.obs, self.obs_dim),
            ("actions", &self.act, self.act_dim),
            ("rewards", &self.reward, 1),
            ("next_observations", &self.next_obs, self.obs_dim),
        ];
        for (name, values, width) in columns {
            if let Some(at) = values.iter().position(|value| !value.is_finite()) {
                return Err(DataError::NonFinite {
                    path: path.to_owned(),
                    entry: name.to_owned(),
                    transition: at / width,
                    index: at % width,
                    value: values[at],
                });
            }
        }
        Ok(())
    }
}
