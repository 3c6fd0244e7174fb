//! Frames as a file: a GIF, an MP4, or a PNG of many frames side by side.

mod gif;
mod mp4;
mod sheet;

use advect_envs::{EnvError, Image};
use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

/// Why a film could not be written.
#[derive(Debug, thiserror::Error)]
pub enum FilmError {
    /// The name does not say what kind of file is wanted.
    #[error("{} ends in none of .gif, .png and .mp4; choose one of them", path.display())]
    Kind {
        /// The file.
        path: PathBuf,
    },
    /// There is no frame, or one of another size than the first.
    #[error("a film needs at least one frame, and all of one size")]
    Frames,
    /// The file could not be written.
    #[error("cannot write {}: {source}; check that the folder exists and has room", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// A frame could not be encoded.
    #[error(transparent)]
    Image(#[from] EnvError),
    /// The program that makes MP4 files is not here.
    #[error(
        "`{program}` did not start ({source}); MP4 files are made by FFmpeg: install it (Debian, Ubuntu: apt-get install ffmpeg), \
         or write a .gif or a .png, which need no other program"
    )]
    NoEncoder {
        /// The program.
        program: String,
        /// What the system said.
        source: io::Error,
    },
    /// The program that makes MP4 files failed.
    #[error("`{program}` failed: {message}")]
    Encoder {
        /// The program.
        program: String,
        /// What it said.
        message: String,
    },
}

/// What kind of file a film is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Animated, 256 colours a frame.
    Gif,
    /// Frames side by side, to be read like a text.
    Sheet,
    /// Animated, by FFmpeg.
    Mp4,
}

impl Kind {
    /// The kind that a file name asks for by its ending.
    ///
    /// # Errors
    /// [`FilmError::Kind`].
    pub fn of(path: &Path) -> Result<Self, FilmError> {
        let ending = path.extension().map(|ending| ending.to_ascii_lowercase());
        match ending.as_deref().and_then(|ending| ending.to_str()) {
            Some("gif") => Ok(Self::Gif),
            Some("png") => Ok(Self::Sheet),
            Some("mp4") => Ok(Self::Mp4),
            _ => Err(FilmError::Kind {
                path: path.to_owned(),
            }),
        }
    }
}

/// Writes `frames`, shown at `fps` frames a second, to `path`, of the kind that its ending names. The file appears whole or not at all.
///
/// # Errors
/// [`FilmError`].
pub fn write(path: &Path, frames: &[Image], fps: f64) -> Result<(), FilmError> {
    let kind = Kind::of(path)?;
    let first = frames.first().ok_or(FilmError::Frames)?;
    let size = (first.width(), first.height());
    if frames.iter().any(|f| (f.width(), f.height()) != size) {
        return Err(FilmError::Frames);
    }
    let beside = beside(path);
    let written = match kind {
        Kind::Gif => gif::write(&beside, frames, fps),
        Kind::Sheet => sheet::write(&beside, frames),
        Kind::Mp4 => mp4::write(&beside, frames, fps),
    };
    let published = written.and_then(|()| {
        std::fs::rename(&beside, path).map_err(|source| FilmError::Write {
            path: path.to_owned(),
            source,
        })
    });
    published.inspect_err(|_| {
        // nothing half-written stays; the error that matters is the first
        let _ = std::fs::remove_file(&beside);
    })
}

/// A hidden name in the same folder, with the same ending.
fn beside(path: &Path) -> PathBuf {
    let mut name = OsString::from(".new-");
    name.push(path.file_name().unwrap_or_default());
    path.with_file_name(name)
}
