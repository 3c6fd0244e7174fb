//! Our files: D4RL's layout, compressed, with the environment's id.

use std::path::Path;

use hdf5_pure::{AttrValue, FileBuilder};

use super::frames::{FRAMES, NEXT_FRAMES};
use super::{DataError, Dataset};
use crate::ImageShape;

/// Compression level: most of the gain at little cost.
const LEVEL: u32 = 4;
/// Rows of a compressed block.
const CHUNK_ROWS: usize = 4096;
/// Bytes of a compressed block of frames.
const CHUNK_BYTES: usize = 1 << 20;

impl Dataset {
    /// Writes an HDF5 file in D4RL's layout (`observations`, `actions`, `rewards`, `next_observations`, `terminals`, `timeouts`),
    /// which [`Dataset::read`] and D4RL's own readers take; frames are `frames` and `next_frames`, a byte a number. The file appears whole or not at all.
    ///
    /// # Errors
    /// [`DataError::Io`] where the folder is missing, read-only or full; [`DataError::Entry`] without transitions.
    pub fn write(&self, path: &Path) -> Result<(), DataError> {
        if self.is_empty() {
            return Err(DataError::bad(
                path,
                "observations",
                "there is no transition to write",
            ));
        }
        let mut file = FileBuilder::new();
        self.observations(&mut file);
        self.floats(&mut file, "actions", &self.act, Some(self.act_dim));
        self.floats(&mut file, "rewards", &self.reward, None);
        self.flags(&mut file, "terminals", &self.terminated);
        self.flags(&mut file, "timeouts", &self.timeouts());
        if let Some(env) = &self.env {
            file.set_attr("env", AttrValue::String(env.clone()));
        }
        let bytes = file
            .finish()
            .map_err(|error| DataError::malformed(path, "HDF5", error))?;
        publish(path, &bytes)
    }

    /// True at the last transition of each episode that was cut off.
    fn timeouts(&self) -> Vec<bool> {
        let mut timeouts = vec![false; self.len()];
        for episode in &self.episodes {
            timeouts[episode.end - 1] = !self.terminated[episode.end - 1];
        }
        timeouts
    }

    fn observations(&self, file: &mut FileBuilder) {
        let columns = [
            ("observations", &self.obs),
            ("next_observations", &self.next_obs),
        ];
        if self.obs_dim > 0 {
            for (name, values) in columns {
                self.floats(file, name, values, Some(self.obs_dim));
            }
        }
        if let Some(frames) = &self.frames {
            self.frames(file, FRAMES, frames.shape, &frames.obs);
            self.frames(file, NEXT_FRAMES, frames.shape, &frames.next_obs);
        }
    }

    fn frames(&self, file: &mut FileBuilder, name: &str, image: ImageShape, bytes: &[u8]) {
        let rows = (CHUNK_BYTES / image.len().max(1)).clamp(1, self.len());
        let of = |rows: usize| [rows, image.channels, image.height, image.width].map(|n| n as u64);
        file.create_dataset(name)
            .with_u8_data(bytes)
            .with_shape(&of(self.len()))
            .with_chunks(&of(rows))
            .with_deflate(LEVEL);
    }

    fn floats(&self, file: &mut FileBuilder, name: &str, values: &[f32], width: Option<usize>) {
        let (shape, chunk) = self.shapes(width);
        file.create_dataset(name)
            .with_f32_data(values)
            .with_shape(&shape)
            .with_chunks(&chunk)
            .with_shuffle()
            .with_deflate(LEVEL);
    }

    fn flags(&self, file: &mut FileBuilder, name: &str, values: &[bool]) {
        let (shape, chunk) = self.shapes(None);
        let bytes: Vec<u8> = values.iter().map(|value| u8::from(*value)).collect();
        file.create_dataset(name)
            .with_u8_data(&bytes)
            .with_shape(&shape)
            .with_chunks(&chunk)
            .with_deflate(LEVEL);
    }

    fn shapes(&self, width: Option<usize>) -> (Vec<u64>, Vec<u64>) {
        let (rows, chunk) = (self.len() as u64, self.len().min(CHUNK_ROWS) as u64);
        match width {
            None => (vec![rows], vec![chunk]),
            Some(width) => (vec![rows, width as u64], vec![chunk, width as u64]),
        }
    }
}

/// Writes beside, waits for the disk, renames.
fn publish(path: &Path, bytes: &[u8]) -> Result<(), DataError> {
    let beside = path.with_extension("new");
    let written = std::fs::File::create(&beside).and_then(|mut file| {
        std::io::Write::write_all(&mut file, bytes)?;
        file.sync_all()
    });
    let published = written.and_then(|()| std::fs::rename(&beside, path));
    published.map_err(|source| {
        // nothing half-written stays; the error that matters is the first
        let _ = std::fs::remove_file(&beside);
        DataError::io("write", path, source)
    })
}
