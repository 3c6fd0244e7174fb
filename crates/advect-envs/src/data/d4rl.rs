//! D4RL: flat columns over all episodes, ends marked by `terminals` and `timeouts`. Observations may begin with frames, see [`frames`].

use std::path::Path;

use super::array::Rows;
use super::frames::{self, FRAMES};
use super::hdf5::File;
use super::{Builder, DataError, Dataset};
use crate::ImageShape;

/// Without `next_observations` the next row is taken, and the last transition of an episode that was cut off is left out, because
/// what came after it was not recorded.
pub(super) fn read(file: &File) -> Result<Dataset, DataError> {
    let obs = match file.has_dataset("observations") {
        true => file.rows("observations")?,
        false => nothing(&file.path, file.frames(FRAMES)?)?,
    };
    let column = |name: &str| file.rows(name)?.with_rows(&file.path, name, obs.rows);
    let (act, reward) = (column("actions")?, column("rewards")?);
    let terminated = column("terminals")?.flags();
    let next_obs = match obs.width {
        0 => Some(obs.clone()),
        _ => file.optional_rows("next_observations")?,
    };
    if let Some(next_obs) = &next_obs
        && (next_obs.rows, next_obs.width) != (obs.rows, obs.width)
    {
        return Err(DataError::bad(
            &file.path,
            "next_observations",
            "has another shape than observations",
        ));
    }
    let columns = Columns {
        cut_off: ends(file, &terminated)?,
        obs,
        act,
        reward,
        next_obs,
        terminated,
    };
    let dataset = columns.collect(file.string_attr("", "env"));
    match file.has_dataset(FRAMES) {
        true => frames::read(file, dataset),
        false => Ok(dataset),
    }
}

/// As many rows without a number as there are frames.
fn nothing(path: &Path, (shape, frames): (ImageShape, Vec<u8>)) -> Result<Rows, DataError> {
    let rows = frames.len() / shape.len().max(1);
    Rows::new(path, FRAMES, &[rows, 0], Vec::new())
}

/// Where episodes are cut off: `timeouts`, else the file is one episode after the other that all terminate.
fn ends(file: &File, terminated: &[bool]) -> Result<Vec<bool>, DataError> {
    let rows = terminated.len();
    if let Some(timeouts) = file.optional_rows("timeouts")? {
        return Ok(timeouts.with_rows(&file.path, "timeouts", rows)?.flags());
    }
    if terminated.iter().any(|terminated| *terminated) {
        return Ok(vec![false; rows]);
    }
    let problem = "is missing and nothing terminates, so no episode has an end; add it, true at the last step of each episode";
    Err(DataError::bad(&file.path, "timeouts", problem))
}

/// Columns over all transitions.
pub(super) struct Columns {
    pub(super) obs: Rows,
    pub(super) act: Rows,
    pub(super) reward: Rows,
    pub(super) next_obs: Option<Rows>,
    pub(super) terminated: Vec<bool>,
    pub(super) cut_off: Vec<bool>,
}

impl Columns {
    pub(super) fn collect(&self, env: Option<String>) -> Dataset {
        let mut builder = Builder::for_env(env, self.obs.width, self.act.width);
        for row in 0..self.obs.rows {
            if let Some(next_obs) = self.next_obs(row) {
                let (obs, act) = (self.obs.row(row), self.act.row(row));
                let reward = self.reward.values[row];
                builder.push(obs, act, reward, next_obs, self.terminated[row]);
            }
            if self.cut_off[row] {
                builder.end_episode();
            }
        }
        builder.finish()
    }

    /// The observation after a transition, where it is known. What follows a terminal state has no value: its own observation
    /// stands in.
    fn next_obs(&self, row: usize) -> Option<&[f32]> {
        if let Some(next_obs) = &self.next_obs {
            return Some(next_obs.row(row));
        }
        if self.terminated[row] {
            return Some(self.obs.row(row));
        }
        let known = !self.cut_off[row] && row + 1 < self.obs.rows;
        known.then(|| self.obs.row(row + 1))
    }
}
