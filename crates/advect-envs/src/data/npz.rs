//! OGBench: an npz archive of flat columns; `terminals` marks the last step of each trajectory, which was cut off there.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use zip::ZipArchive;

use super::array::Rows;
use super::d4rl::Columns;
use super::npy;
use super::{DataError, Dataset};

/// Deflate cannot shrink by more; see the HDF5 reader.
const MAX_RATIO: u64 = 1100;

/// Whether the file starts as a zip archive does.
pub(super) fn is_archive(path: &Path) -> Result<bool, DataError> {
    let mut start = [0; 4];
    let mut file = File::open(path).map_err(|source| DataError::io("open", path, source))?;
    match file.read_exact(&mut start) {
        Ok(()) => Ok(start == *b"PK\x03\x04"),
        Err(_) => Ok(false),
    }
}

pub(super) fn read(path: &Path) -> Result<Dataset, DataError> {
    let file = File::open(path).map_err(|source| DataError::io("open", path, source))?;
    let archive =
        ZipArchive::new(file).map_err(|error| DataError::malformed(path, "npz", error))?;
    let mut archive = Archive { path, archive };
    let obs = archive.rows("observations")?;
    let act = archive
        .rows("actions")?
        .with_rows(path, "actions", obs.rows)?;
    let ends = archive
        .rows("terminals")?
        .with_rows(path, "terminals", obs.rows)?;
    let reward = match archive.optional("rewards")? {
        Some(reward) => reward.with_rows(path, "rewards", obs.rows)?,
        None => Rows::new(path, "rewards", &[obs.rows], vec![0.0; obs.rows])?,
    };
    if !ends.values.iter().any(|end| *end != 0.0) {
        let problem = "marks no end, so no trajectory can be told from the next";
        return Err(DataError::bad(path, "terminals", problem));
    }
    let columns = Columns {
        terminated: vec![false; obs.rows],
        cut_off: ends.flags(),
        next_obs: archive.optional("next_observations")?,
        obs,
        act,
        reward,
    };
    Ok(columns.collect(None))
}

struct Archive<'a> {
    path: &'a Path,
    archive: ZipArchive<File>,
}

impl Archive<'_> {
    fn optional(&mut self, name: &str) -> Result<Option<Rows>, DataError> {
        let file = format!("{name}.npy");
        if self.archive.index_for_name(&file).is_none() {
            return Ok(None);
        }
        self.rows(name).map(Some)
    }

    fn rows(&mut self, name: &str) -> Result<Rows, DataError> {
        let path = self.path;
        let bad = |problem: String| DataError::bad(path, name, problem);
        let entry = self.archive.by_name(&format!("{name}.npy"));
        let mut entry = entry.map_err(|error| bad(error.to_string()))?;
        let budget = entry.compressed_size().saturating_mul(MAX_RATIO);
        if entry.size() > budget {
            return Err(bad(format!(
                "claims {} bytes, more than it can hold",
                entry.size()
            )));
        }
        let mut bytes = Vec::new();
        let read = entry
            .by_ref()
            .take(budget.saturating_add(1))
            .read_to_end(&mut bytes);
        read.map_err(|error| bad(error.to_string()))?;
        let (shape, values) = npy::parse(&bytes).map_err(bad)?;
        Rows::new(path, name, &shape, values)
    }
}
