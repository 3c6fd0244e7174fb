//! The few file operations that checkpoints rest on: durable writes, atomic publication, checksums.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::error::RunError;

/// A file that is being written.
pub trait Sink: Write {
    /// Waits until everything written is on the disk.
    ///
    /// # Errors
    /// What the system reports, a full disk among it.
    fn sync(&mut self) -> io::Result<()>;
}

impl Sink for File {
    fn sync(&mut self) -> io::Result<()> {
        self.sync_all()
    }
}

/// Where the files of a run are opened for writing; a test puts a full disk in its place.
pub trait Storage: Send {
    /// Opens a file for appending after its first `keep` bytes, creating it if need be; later bytes are cut off.
    ///
    /// # Errors
    /// What the system reports.
    fn append(&self, path: &Path, keep: u64) -> io::Result<Box<dyn Sink>>;
}

/// The file system.
#[derive(Debug, Clone, Copy, Default)]
pub struct Disk;

impl Storage for Disk {
    fn append(&self, path: &Path, keep: u64) -> io::Result<Box<dyn Sink>> {
        // no append flag: the length is set first, then the end is the place to write
        let mut file = OpenOptions::new()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path)?;
        file.set_len(keep)?;
        io::Seek::seek(&mut file, io::SeekFrom::Start(keep))?;
        Ok(Box::new(file))
    }
}

/// Length and checksum of a file's content.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checksum {
    /// Bytes.
    pub len: u64,
    /// CRC-32 (IEEE).
    pub crc32: u32,
}

impl Checksum {
    /// Of nothing.
    pub const EMPTY: Self = Self { len: 0, crc32: 0 };

    /// Of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self::EMPTY.extended(bytes)
    }

    /// Of the content so far followed by `bytes`.
    pub fn extended(self, bytes: &[u8]) -> Self {
        let mut hasher = crc32fast::Hasher::new_with_initial_len(self.crc32, self.len);
        hasher.update(bytes);
        Self {
            len: self.len + bytes.len() as u64,
            crc32: hasher.finalize(),
        }
    }
}

/// Writes a whole file and waits until it is on the disk.
pub(crate) fn write_durable(
    storage: &dyn Storage,
    path: &Path,
    bytes: &[u8],
) -> Result<Checksum, RunError> {
    append_durable(storage, path, Checksum::EMPTY, bytes)
}

/// Appends to a file of which only the first `kept.len` bytes count, and waits until it is on the disk.
pub(crate) fn append_durable(
    storage: &dyn Storage,
    path: &Path,
    kept: Checksum,
    bytes: &[u8],
) -> Result<Checksum, RunError> {
    let written = storage.append(path, kept.len).and_then(|mut sink| {
        sink.write_all(bytes)?;
        sink.sync()
    });
    written.map_err(|source| RunError::io("write", path, source))?;
    Ok(kept.extended(bytes))
}

/// Reads the first `recorded.len` bytes of a file and verifies them; `fix` is told with the error.
pub(crate) fn read_verified(
    path: &Path,
    recorded: Checksum,
    fix: &str,
) -> Result<Vec<u8>, RunError> {
    let mut bytes = Vec::with_capacity(recorded.len as usize);
    let read = File::open(path).and_then(|file| file.take(recorded.len).read_to_end(&mut bytes));
    if let Err(source) = read
        && source.kind() != io::ErrorKind::NotFound
    {
        return Err(RunError::io("read", path, source));
    }
    verify(path, Checksum::of(&bytes), recorded, fix)?;
    Ok(bytes)
}

fn verify(path: &Path, found: Checksum, recorded: Checksum, fix: &str) -> Result<(), RunError> {
    let damaged = |what, found: String, expected: String| {
        Err(RunError::Damaged {
            path: path.to_owned(),
            what,
            found: found.into(),
            expected: expected.into(),
            fix: fix.into(),
        })
    };
    if found.len != recorded.len {
        return damaged(
            "its length",
            format!("{} bytes", found.len),
            format!("{} bytes", recorded.len),
        );
    }
    if found.crc32 != recorded.crc32 {
        return damaged(
            "its CRC-32",
            format!("{:08x}", found.crc32),
            format!("{:08x}", recorded.crc32),
        );
    }
    Ok(())
}

/// Makes the names in a folder durable.
pub(crate) fn sync_dir(dir: &Path) -> Result<(), RunError> {
    if cfg!(unix) {
        let synced = File::open(dir).and_then(|dir| dir.sync_all());
        synced.map_err(|source| RunError::io("sync", dir, source))?;
    }
    Ok(())
}

/// Renames, and makes the new name durable.
pub(crate) fn publish(from: &Path, to: &Path) -> Result<(), RunError> {
    fs::rename(from, to).map_err(|source| RunError::io("rename to", to, source))?;
    to.parent().map_or(Ok(()), sync_dir)
}

/// Creates a folder and its parents.
pub(crate) fn create_dir(dir: &Path) -> Result<(), RunError> {
    fs::create_dir_all(dir).map_err(|source| RunError::io("create", dir, source))
}

/// Removes a folder if it is there.
pub(crate) fn remove_dir(dir: &Path) -> Result<(), RunError> {
    match fs::remove_dir_all(dir) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(RunError::io("remove", dir, source))
        }
        _ => Ok(()),
    }
}

/// The names in a folder, sorted.
pub(crate) fn names(dir: &Path) -> Result<Vec<String>, RunError> {
    let failed = |source| RunError::io("list", dir, source);
    let mut names = Vec::new();
    for entry in fs::read_dir(dir).map_err(failed)? {
        names.extend(entry.map_err(failed)?.file_name().into_string().ok());
    }
    names.sort();
    Ok(names)
}
