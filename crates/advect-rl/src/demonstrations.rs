//! Recorded transitions as windows: a state and the chunk of actions that followed it.

use std::path::Path;

use advect_envs::data::Dataset;
use advect_envs::{EnvSpec, ImageShape};
use advect_kernels::params::{hash_bytes, hash_values};
use advect_rng::Stream;
use candle_core::{DType, Device, Result, Tensor};

use crate::acting::unscale_actions;
use crate::batch::Batch;
use crate::error::TrainError;
use crate::state::StateError;

/// The windows of a data set: every `chunk` consecutive actions inside an episode, with the state before the first.
#[derive(Debug, Clone, PartialEq)]
pub struct Demonstrations {
    obs: Vec<f32>,
    act: Vec<f32>,
    obs_dim: usize,
    act_dim: usize,
    /// What observations begin with, a byte a number.
    frames: Option<Images>,
    chunk: usize,
    starts: Vec<u32>,
}

/// Frames of all observations.
#[derive(Debug, Clone, PartialEq)]
struct Images {
    len: usize,
    bytes: Vec<u8>,
}

impl Demonstrations {
    /// Reads a file for an environment, whose actions are as many of the file's behind each other as fit; the first `episodes`
    /// episodes, or all for 0. Actions come to units in which the environment's box is `[-1, 1]`.
    ///
    /// # Errors
    /// [`TrainError::Data`] for a file that cannot be read, [`TrainError::Invalid`] without a path or with the dimension that does not fit.
    pub fn read(
        path: &Path,
        env: &EnvSpec,
        episodes: usize,
    ) -> std::result::Result<Self, TrainError> {
        if path.as_os_str().is_empty() {
            return Err(TrainError::Invalid {
                what: "data".into(),
                problem: "there are no demonstrations".into(),
                fix: "give a file: --set data=FILE (`advect demos` makes some), or `advect pretrain flow --data FILE`".into(),
            });
        }
        let mut data = Dataset::read(path)?;
        if episodes > 0 {
            data = data.first_episodes(episodes);
        }
        let misfit = |what: &str, found: usize, expected: usize| TrainError::Invalid {
            what: path.display().to_string(),
            problem: format!(
                "its {what} has {found} numbers, {} takes {expected}",
                env.id
            ),
            fix: "give the environment that the data were recorded in, or other data".into(),
        };
        check_image(path, &data, env)?;
        let own = env.obs_dim - env.image.map_or(0, ImageShape::len);
        if data.obs_dim != own {
            return Err(misfit("observation", data.obs_dim, own));
        }
        if data.act_dim == 0 || !env.act_dim.is_multiple_of(data.act_dim) {
            return Err(misfit("action", data.act_dim, env.act_dim));
        }
        let windows = Self::windows_of(data, env);
        if windows.starts.is_empty() {
            return Err(TrainError::Invalid {
                what: path.display().to_string(),
                problem: format!("no episode has {} steps", windows.chunk),
                fix: "take a shorter `action_chunk`, or data with longer episodes".into(),
            });
        }
        Ok(windows)
    }

    /// Single transitions: rows of `obs_dim` and `act_dim` numbers behind each other, actions in units in which the environment's box is `[-1, 1]`.
    pub fn of_rows(obs: Vec<f32>, obs_dim: usize, act: Vec<f32>, act_dim: usize) -> Self {
        let rows = (obs.len() / obs_dim.max(1)).min(act.len() / act_dim.max(1));
        Self {
            starts: (0..rows as u32).collect(),
            obs,
            act,
            obs_dim,
            act_dim,
            frames: None,
            chunk: 1,
        }
    }

    fn windows_of(mut data: Dataset, env: &EnvSpec) -> Self {
        let chunk = env.act_dim / data.act_dim;
        // a chunk's bounds repeat those of one action
        unscale_actions(env, &mut data.act);
        let inside = |episode: &std::ops::Range<usize>| {
            let end = (episode.end + 1).saturating_sub(chunk);
            (episode.start..end.max(episode.start)).map(|start| start as u32)
        };
        Self {
            starts: data.episodes.iter().flat_map(inside).collect(),
            frames: data.frames.map(|frames| Images {
                len: frames.shape.len(),
                bytes: frames.obs,
            }),
            obs: data.obs,
            act: data.act,
            obs_dim: data.obs_dim,
            act_dim: data.act_dim,
            chunk,
        }
    }

    /// A hash of all numbers: what tells one set from another.
    pub fn fingerprint(&self) -> u64 {
        let parts = [&self.obs, &self.act].map(|values| hash_values(values));
        let frames = self.frames.as_ref();
        let frames = frames.map_or(0, |frames| hash_bytes(frames.bytes.iter().copied()));
        parts[0] ^ parts[1].rotate_left(1) ^ frames ^ self.starts.len() as u64
    }

    /// Windows.
    pub fn len(&self) -> usize {
        self.starts.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.starts.is_empty()
    }

    /// Actions of a window.
    pub fn chunk(&self) -> usize {
        self.chunk
    }

    /// All observations `[n, o]` without their frames, flat, and their width.
    pub fn obs(&self) -> (&[f32], usize) {
        (&self.obs, self.obs_dim)
    }

    /// All single actions `[n, d]`, flat, and their width.
    pub fn act(&self) -> (&[f32], usize) {
        (&self.act, self.act_dim)
    }

    /// `rows` windows drawn uniformly with replacement, as states and actions of a batch whose rewards are 0.
    ///
    /// # Errors
    /// If the device fails.
    pub fn sample(&self, stream: &mut Stream, rows: usize, device: &Device) -> Result<Batch> {
        let mut index = vec![0; rows];
        stream.fill_indices(self.starts.len() as u32, &mut index);
        let (obs, act) = self.gather(&index, device)?;
        Batch::imitation(obs, act)
    }

    /// States `[B, o]` and chunks `[B, chunk d]` of the windows `index`, each below [`Demonstrations::len`]; states are u8 where they are
    /// frames and nothing else.
    ///
    /// # Errors
    /// If there is no such window, or the device fails.
    pub fn gather(&self, index: &[u32], device: &Device) -> Result<(Tensor, Tensor)> {
        let missing = |window| candle_core::Error::Msg(format!("there is no window {window}"));
        let start = |window: &u32| {
            let start = self.starts.get(*window as usize);
            start
                .map(|row| *row as usize)
                .ok_or_else(|| missing(*window))
        };
        let starts = index.iter().map(start).collect::<Result<Vec<_>>>()?;
        let width = self.chunk * self.act_dim;
        let act = picked(&self.act, &starts, self.act_dim, width);
        let act = Tensor::from_vec(act, (index.len(), width), device)?;
        Ok((self.states(&starts, device)?, act))
    }

    fn states(&self, starts: &[usize], device: &Device) -> Result<Tensor> {
        let numbers = || {
            let obs = picked(&self.obs, starts, self.obs_dim, self.obs_dim);
            Tensor::from_vec(obs, (starts.len(), self.obs_dim), device)
        };
        let Some(Images { len, bytes }) = &self.frames else {
            return numbers();
        };
        let frames = picked(bytes, starts, *len, *len);
        let frames = Tensor::from_vec(frames, (starts.len(), *len), device)?;
        match self.obs_dim {
            0 => Ok(frames),
            _ => Tensor::cat(&[frames.to_dtype(DType::F32)?, numbers()?], 1),
        }
    }
}

/// `width` values from each of `rows` on, rows being `step` apart.
fn picked<T: Copy>(values: &[T], rows: &[usize], step: usize, width: usize) -> Vec<T> {
    let mut out = Vec::with_capacity(rows.len() * width);
    for row in rows {
        out.extend_from_slice(&values[row * step..][..width]);
    }
    out
}

/// Refuses data whose frames are not those of the environment.
fn check_image(path: &Path, data: &Dataset, env: &EnvSpec) -> std::result::Result<(), TrainError> {
    let found = data.frames.as_ref().map(|frames| frames.shape);
    if found == env.image {
        return Ok(());
    }
    let told = |image: Option<ImageShape>| image.map_or("none".to_owned(), |s| s.to_string());
    Err(TrainError::Invalid {
        what: path.display().to_string(),
        problem: format!(
            "its frames are {}, those of {} {}",
            told(found),
            env.id,
            told(env.image)
        ),
        fix: "give the same `pixels` and `frame_stack` as the data were recorded with".into(),
    })
}

/// Refuses to go on with other demonstrations than those of a checkpoint: `saved` and `found` are their [`Demonstrations::fingerprint`], `found` is 0 where
/// none are read.
///
/// # Errors
/// [`StateError::Value`] with the name of the file.
pub fn same_demonstrations(
    saved: u64,
    found: u64,
    path: &str,
) -> std::result::Result<(), StateError> {
    if found == 0 || found == saved {
        return Ok(());
    }
    Err(StateError::Value {
        name: "demonstrations".into(),
        problem: format!(
            "{path} holds other transitions than those that the run began with: restore the file, or begin another run"
        ),
    })
}

#[cfg(test)]
mod tests {
    use advect_envs::data::Builder;

    use super::*;

    fn data() -> Dataset {
        let mut builder = Builder::new("two coordinates", 2, 1);
        for (episode, steps) in [3, 1, 2].into_iter().enumerate() {
            for step in 0..steps {
                let at = (10 * episode + step) as f32;
                builder.push(&[at, -at], &[at], 0.0, &[at + 1.0, 0.0], false);
            }
            builder.end_episode();
        }
        builder.finish()
    }

    fn spec(obs_dim: usize, act_dim: usize) -> EnvSpec {
        EnvSpec {
            obs_dim,
            act_low: vec![-2.0; act_dim],
            act_high: vec![2.0; act_dim],
            act_dim,
            ..advect_envs::make("Pendulum-v1")
                .map_or_else(|e| unreachable!("{e}"), |env| env.spec().clone())
        }
    }

    #[test]
    fn windows_stay_inside_their_episodes() -> std::result::Result<(), Box<dyn std::error::Error>> {
        let dir = tempfile::tempdir()?;
        let path = dir.path().join("data.hdf5");
        data().write(&path)?;
        let windows = Demonstrations::read(&path, &spec(2, 2), 0)?;
        assert_eq!((windows.len(), windows.chunk()), (3, 2));
        let (obs, act) = windows.gather(&[0, 1, 2], &Device::Cpu)?;
        assert_eq!(
            obs.to_vec2::<f32>()?,
            [[0.0, 0.0], [1.0, -1.0], [20.0, -20.0]]
        );
        // the box of the environment is [-2, 2]
        assert_eq!(
            act.to_vec2::<f32>()?,
            [[0.0, 0.5], [0.5, 1.0], [10.0, 10.5]]
        );
        assert_eq!(Demonstrations::read(&path, &spec(2, 2), 1)?.len(), 2);
        assert!(windows.gather(&[3], &Device::Cpu).is_err());
        let error = |spec: EnvSpec| {
            Demonstrations::read(&path, &spec, 0)
                .err()
                .map(|e| e.to_string())
        };
        let observation = error(spec(3, 2)).ok_or("accepted")?;
        assert!(
            observation.contains("observation has 2 numbers"),
            "{observation}"
        );
        let long = error(spec(2, 9)).ok_or("accepted")?;
        assert!(long.contains("no episode has 9 steps"), "{long}");
        Ok(())
    }
}
