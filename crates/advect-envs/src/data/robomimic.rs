//! robomimic: a group per demonstration, observations by name.

use std::path::Path;

use super::hdf5::File;
use super::minari::{beside, numbered};
use super::{Builder, DataError, Dataset};

/// Reads a robomimic file with the observations of `keys`, one behind the other; without keys, all low-dimensional ones in
/// alphabetical order.
///
/// # Errors
/// As [`Dataset::read`].
pub fn read_with_keys(path: &Path, keys: &[&str]) -> Result<Dataset, DataError> {
    let dataset = read(&File::open(path)?, keys)?;
    dataset.check(path)?;
    Ok(dataset)
}

pub(super) fn read(file: &File, keys: &[&str]) -> Result<Dataset, DataError> {
    let names = numbered(file.groups("data")?, "demo_");
    let Some(first) = names.first() else {
        return Err(DataError::bad(
            &file.path,
            "data",
            "holds no group demo_0, demo_1, ...",
        ));
    };
    let keys = match keys {
        [] => low_dimensional(file, &format!("data/{first}/obs"))?,
        keys => keys.iter().map(ToString::to_string).collect(),
    };
    let mut builder: Option<Builder> = None;
    for name in &names {
        push(file, &format!("data/{name}"), &keys, &mut builder)?;
    }
    Ok(builder.unwrap_or_default().finish())
}

/// The observations that are rows of numbers, no pictures.
fn low_dimensional(file: &File, group: &str) -> Result<Vec<String>, DataError> {
    let mut keys = Vec::new();
    for key in file.datasets(group)? {
        if file.rank(&format!("{group}/{key}"))? <= 2 {
            keys.push(key);
        }
    }
    keys.sort();
    if keys.is_empty() {
        let problem = "holds no low-dimensional observation; name the keys to read";
        return Err(DataError::bad(&file.path, group, problem));
    }
    Ok(keys)
}

/// One demonstration. `dones` at its last step is its end; robomimic does not tell a terminal state from a cut.
fn push(
    file: &File,
    demo: &str,
    keys: &[String],
    builder: &mut Option<Builder>,
) -> Result<(), DataError> {
    let act = file.rows(&format!("{demo}/actions"))?;
    let joined = |group: &str| {
        let mut columns = Vec::new();
        for key in keys {
            let entry = format!("{demo}/{group}/{key}");
            columns.push(file.rows(&entry)?.with_rows(&file.path, &entry, act.rows)?);
        }
        Ok::<_, DataError>(beside(&columns))
    };
    let (obs, next_obs) = (joined("obs")?, joined("next_obs")?);
    let entry = format!("{demo}/rewards");
    let reward = file.rows(&entry)?.with_rows(&file.path, &entry, act.rows)?;
    let builder = builder.get_or_insert_with(|| Builder::for_env(None, obs.width, act.width));
    if builder.dims() != (obs.width, act.width) || next_obs.width != obs.width {
        return Err(DataError::bad(
            &file.path,
            demo,
            "has other widths than the demonstrations before",
        ));
    }
    for row in 0..act.rows {
        let reward = reward.values[row];
        builder.push(obs.row(row), act.row(row), reward, next_obs.row(row), false);
    }
    builder.end_episode();
    Ok(())
}
