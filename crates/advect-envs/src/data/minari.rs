//! Minari: a group per episode with one observation more than it has actions.

use super::array::Rows;
use super::hdf5::File;
use super::{Builder, DataError, Dataset};

pub(super) fn read(file: &File) -> Result<Dataset, DataError> {
    let names = numbered(file.groups("")?, "episode_");
    let mut builder: Option<Builder> = None;
    for name in &names {
        let episode = Episode::read(file, name)?;
        let (obs_dim, act_dim) = (episode.obs.width, episode.act.width);
        let builder = builder.get_or_insert_with(|| Builder::for_env(env(file), obs_dim, act_dim));
        episode.push_to(file, name, builder)?;
    }
    Ok(builder.unwrap_or_default().finish())
}

/// The names with a number behind `prefix`, in the order of the numbers.
pub(super) fn numbered(names: Vec<String>, prefix: &str) -> Vec<String> {
    let number = |name: &String| name.strip_prefix(prefix)?.parse::<u64>().ok();
    let mut found: Vec<_> = names
        .into_iter()
        .filter_map(|name| Some((number(&name)?, name)))
        .collect();
    found.sort_unstable();
    found.into_iter().map(|(_, name)| name).collect()
}

/// The id inside the environment specification, a JSON text.
fn env(file: &File) -> Option<String> {
    let spec = file.string_attr("", "env_spec")?;
    let (_, rest) = spec.split_once("\"id\"")?;
    rest.split('"').nth(1).map(str::to_owned)
}

struct Episode {
    obs: Rows,
    act: Rows,
    reward: Rows,
    terminated: Vec<bool>,
}

impl Episode {
    fn read(file: &File, name: &str) -> Result<Self, DataError> {
        let entry = |part: &str| format!("{name}/{part}");
        let act = file.rows(&entry("actions"))?;
        let column = |part: &str| {
            let entry = entry(part);
            file.rows(&entry)?.with_rows(&file.path, &entry, act.rows)
        };
        Ok(Self {
            obs: observations(file, &entry("observations"), act.rows + 1)?,
            reward: column("rewards")?,
            terminated: column("terminations")?.flags(),
            act,
        })
    }

    fn push_to(&self, file: &File, name: &str, builder: &mut Builder) -> Result<(), DataError> {
        let (obs_dim, act_dim) = builder.dims();
        if (self.obs.width, self.act.width) != (obs_dim, act_dim) {
            let problem = format!(
                "has observations of {} and actions of {} numbers, the episode before {obs_dim} and {act_dim}",
                self.obs.width, self.act.width
            );
            return Err(DataError::bad(&file.path, name, problem));
        }
        for row in 0..self.act.rows {
            let (obs, next_obs) = (self.obs.row(row), self.obs.row(row + 1));
            let reward = self.reward.values[row];
            builder.push(
                obs,
                self.act.row(row),
                reward,
                next_obs,
                self.terminated[row],
            );
        }
        builder.end_episode();
        Ok(())
    }
}

/// An array, or a group of a goal-conditioned task: `observation`, `achieved_goal`, `desired_goal`, in this order.
fn observations(file: &File, entry: &str, rows: usize) -> Result<Rows, DataError> {
    if !file.has_group(entry) {
        return file.rows(entry)?.with_rows(&file.path, entry, rows);
    }
    let parts =
        ["observation", "achieved_goal", "desired_goal"].map(|part| format!("{entry}/{part}"));
    let mut columns = Vec::new();
    for part in &parts {
        columns.push(file.rows(part)?.with_rows(&file.path, part, rows)?);
    }
    Ok(beside(&columns))
}

/// Columns of equal height, row by row one behind the other.
pub(super) fn beside(columns: &[Rows]) -> Rows {
    let rows = columns.first().map_or(0, |column| column.rows);
    let width = columns.iter().map(|column| column.width).sum();
    let mut values = Vec::with_capacity(rows * width);
    for row in 0..rows {
        columns
            .iter()
            .for_each(|column| values.extend_from_slice(column.row(row)));
    }
    Rows {
        rows,
        width,
        values,
    }
}
