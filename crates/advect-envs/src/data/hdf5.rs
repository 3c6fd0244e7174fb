//! HDF5 files, read with bounds on what a file may make us allocate.

use std::path::{Path, PathBuf};

use hdf5_pure::{AttrValue, Group};

use super::DataError;
use super::array::Rows;
use crate::ImageShape;

/// Deflate cannot shrink data by more than about 1032 to 1; a file that claims more is not what it says.
const MAX_RATIO: u64 = 1100;
/// What a dataset may have beyond that: small files with fill values.
const SLACK: u64 = 1 << 20;

/// An open file.
pub(super) struct File {
    pub(super) path: PathBuf,
    file: hdf5_pure::File,
    /// The most bytes that one dataset may unfold to.
    budget: u64,
}

impl File {
    pub(super) fn open(path: &Path) -> Result<Self, DataError> {
        let size = std::fs::metadata(path).map_err(|source| DataError::io("open", path, source))?;
        let malformed = |reason: String| DataError::malformed(path, "HDF5", reason);
        let file = hdf5_pure::File::open(path).map_err(|error| malformed(error.to_string()))?;
        let end = file.superblock().eof_address;
        if end > size.len() {
            let found = size.len();
            return Err(malformed(format!(
                "it was cut off: {found} of {end} bytes are there"
            )));
        }
        Ok(Self {
            path: path.to_owned(),
            file,
            budget: size.len().saturating_mul(MAX_RATIO).saturating_add(SLACK),
        })
    }

    pub(super) fn has_dataset(&self, name: &str) -> bool {
        self.file.dataset(name).is_ok()
    }

    pub(super) fn has_group(&self, name: &str) -> bool {
        self.file.group(name).is_ok()
    }

    /// What is at the root.
    pub(super) fn entries(&self) -> Vec<String> {
        let root = self.file.root();
        let mut names = root.groups().unwrap_or_default();
        names.extend(root.datasets().unwrap_or_default());
        names.sort();
        names
    }

    /// Names of the groups in a group, `""` being the root.
    pub(super) fn groups(&self, name: &str) -> Result<Vec<String>, DataError> {
        let group = self.group(name)?;
        group.groups().map_err(|error| self.bad(name, error))
    }

    /// Names of the datasets in a group.
    pub(super) fn datasets(&self, name: &str) -> Result<Vec<String>, DataError> {
        let group = self.group(name)?;
        group.datasets().map_err(|error| self.bad(name, error))
    }

    fn group(&self, name: &str) -> Result<Group, DataError> {
        if name.is_empty() {
            return Ok(self.file.root());
        }
        self.file.group(name).map_err(|error| self.bad(name, error))
    }

    /// A string attribute of a group.
    pub(super) fn string_attr(&self, group: &str, name: &str) -> Option<String> {
        let attrs = self.group(group).ok()?.attrs().ok()?;
        match attrs.get(name)? {
            AttrValue::String(text) | AttrValue::AsciiString(text) => Some(text.clone()),
            AttrValue::VarLenString(text) => Some(text.clone()),
            _ => None,
        }
    }

    /// Number of dimensions of a dataset.
    pub(super) fn rank(&self, name: &str) -> Result<usize, DataError> {
        Ok(self.shape(&self.dataset(name)?, name)?.len())
    }

    fn dataset(&self, name: &str) -> Result<hdf5_pure::Dataset, DataError> {
        let found = self.file.dataset(name);
        found.map_err(|error| self.bad(name, error))
    }

    fn shape(&self, dataset: &hdf5_pure::Dataset, name: &str) -> Result<Vec<usize>, DataError> {
        // numbers become f32
        self.bounded_shape(dataset, name, 4)
    }

    /// The shape of a dataset whose numbers take `bytes` bytes or more here.
    fn bounded_shape(
        &self,
        dataset: &hdf5_pure::Dataset,
        name: &str,
        bytes: u64,
    ) -> Result<Vec<usize>, DataError> {
        let shape = dataset.shape().map_err(|error| self.bad(name, error))?;
        let element = dataset
            .element_size()
            .map_err(|error| self.bad(name, error))?;
        let bytes = shape.iter().try_fold(element.max(bytes), |bytes, n| {
            bytes.checked_mul((*n).max(1))
        });
        if bytes.is_none_or(|bytes| bytes > self.budget) {
            let problem =
                format!("claims the shape {shape:?}, more than a file of this size can hold");
            return Err(DataError::bad(&self.path, name, problem));
        }
        Ok(shape.iter().map(|n| *n as usize).collect())
    }

    /// A dataset of numbers or booleans as f32 rows.
    pub(super) fn rows(&self, name: &str) -> Result<Rows, DataError> {
        let dataset = self.dataset(name)?;
        let shape = self.shape(&dataset, name)?;
        let values = match dataset.dtype().map_err(|error| self.bad(name, error))? {
            // booleans of h5py are an enumeration of one byte
            hdf5_pure::DType::Enum(_) => dataset
                .read_raw()
                .map(|bytes| bytes.into_iter().map(f32::from).collect()),
            _ => dataset.read_f32(),
        };
        let values = values.map_err(|error| self.bad(name, error))?;
        Rows::new(&self.path, name, &shape, values)
    }

    /// Frames `[n, channels, height, width]` of bytes, and their sizes.
    pub(super) fn frames(&self, name: &str) -> Result<(ImageShape, Vec<u8>), DataError> {
        let dataset = self.dataset(name)?;
        let shape = self.bounded_shape(&dataset, name, 1)?;
        let dtype = dataset.dtype().map_err(|error| self.bad(name, error))?;
        let (&[_, channels, height, width], hdf5_pure::DType::U8) = (&shape[..], dtype) else {
            let problem = "is not [transitions, channels, height, width] of bytes";
            return Err(self.bad(name, problem));
        };
        let image = ImageShape {
            channels,
            height,
            width,
        };
        let values = dataset.read_u8().map_err(|error| self.bad(name, error))?;
        Ok((image, values))
    }

    /// As [`File::rows`], or nothing where there is no such dataset.
    pub(super) fn optional_rows(&self, name: &str) -> Result<Option<Rows>, DataError> {
        if self.has_dataset(name) {
            self.rows(name).map(Some)
        } else {
            Ok(None)
        }
    }

    fn bad(&self, entry: &str, problem: impl std::fmt::Display) -> DataError {
        DataError::bad(&self.path, entry, problem.to_string())
    }
}
