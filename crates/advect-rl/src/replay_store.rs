//! The replay on disk: append-only, checksummed segments, of which a checkpoint writes only what is new.
//!
//! A segment is a header (magic, widths, number of its first transition) and transitions of little-endian f32 in the order
//! obs, act, reward, next_obs, end (1 for terminated, 2 for truncated, 3 for both, else 0); observations that are frames are bytes. A checkpoint records how many bytes of each segment belong to it, and their CRC;
//! bytes after those belong to a later checkpoint, or to none, and are cut off when the run resumes from it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::RunError;
use crate::replay::Replay;
use crate::state::StateError;
use crate::storage::{
    Checksum, Storage, append_durable, create_dir, names, read_verified, sync_dir,
};

const MAGIC: &[u8; 8] = b"advrpl01";
const HEADER_LEN: usize = 24;
/// Bytes after which the next transitions go to a new segment.
const SEGMENT_BYTES: usize = 16 << 20;

/// What a checkpoint records of one segment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// Name of the file.
    pub file: String,
    /// Number of its first transition.
    pub first_row: u64,
    /// Transitions that belong to the checkpoint.
    pub rows: u64,
    /// Length and CRC of the bytes that belong to the checkpoint.
    #[serde(flatten)]
    pub checksum: Checksum,
}

impl Segment {
    fn end(&self) -> u64 {
        self.first_row + self.rows
    }
}

/// What a checkpoint records of the replay.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ReplayManifest {
    /// Transitions ever pushed.
    pub pushed: u64,
    /// Width of an observation.
    pub obs_dim: usize,
    /// Width of an action.
    pub act_dim: usize,
    /// The segments, oldest first, that hold the transitions still in the ring.
    pub segments: Vec<Segment>,
}

/// The segments of a run and how far they are written.
#[derive(Debug)]
pub struct ReplayStore {
    dir: PathBuf,
    segments: Vec<Segment>,
    written: u64,
    segment_bytes: usize,
}

impl ReplayStore {
    /// A store in the folder `dir` with nothing written.
    ///
    /// # Errors
    /// If the folder cannot be created.
    pub fn new(dir: impl Into<PathBuf>) -> Result<Self, RunError> {
        let dir = dir.into();
        create_dir(&dir)?;
        Ok(Self {
            dir,
            segments: Vec::new(),
            written: 0,
            segment_bytes: SEGMENT_BYTES,
        })
    }

    /// As [`ReplayStore::new`], with segments of about `bytes` bytes instead of 16 MiB.
    ///
    /// # Errors
    /// If the folder cannot be created.
    pub fn with_segment_bytes(dir: impl Into<PathBuf>, bytes: usize) -> Result<Self, RunError> {
        let mut store = Self::new(dir)?;
        store.set_segment_bytes(bytes);
        Ok(store)
    }

    /// Changes the size of the segments that are written from now on.
    pub fn set_segment_bytes(&mut self, bytes: usize) {
        // a segment has at least one transition
        self.segment_bytes = bytes.max(HEADER_LEN + 1);
    }

    /// Writes the transitions pushed since the last call, and returns what a checkpoint has to record.
    ///
    /// After an error the store stands where it stood before: what was half written is overwritten by the next call.
    ///
    /// # Errors
    /// If the disk is full or refuses.
    pub fn save(
        &mut self,
        storage: &dyn Storage,
        replay: &Replay,
    ) -> Result<ReplayManifest, RunError> {
        let mut segments = self.segments.clone();
        segments.retain(|segment| segment.end() > replay.first_row());
        let mut next = self.written.max(replay.first_row());
        while next < replay.pushed() {
            let segment = self.open_segment(&mut segments, next);
            next = self.extend_segment(storage, segment, replay)?;
        }
        sync_dir(&self.dir)?;
        (self.segments, self.written) = (segments.clone(), next);
        let (pushed, obs_dim, act_dim) = (replay.pushed(), replay.obs_dim(), replay.act_dim());
        Ok(ReplayManifest {
            pushed,
            obs_dim,
            act_dim,
            segments,
        })
    }

    /// The segment that transition `next` goes to: the last one while it has room, else a new one.
    fn open_segment<'a>(&self, segments: &'a mut Vec<Segment>, next: u64) -> &'a mut Segment {
        let has_room = |s: &Segment| s.end() == next && s.checksum.len < self.segment_bytes as u64;
        if !segments.last().is_some_and(has_room) {
            let file = format!("segment-{next:012}.bin");
            segments.push(Segment {
                file,
                first_row: next,
                rows: 0,
                checksum: Checksum::EMPTY,
            });
        }
        let last = segments.len() - 1;
        &mut segments[last]
    }

    fn extend_segment(
        &self,
        storage: &dyn Storage,
        segment: &mut Segment,
        replay: &Replay,
    ) -> Result<u64, RunError> {
        let mut bytes = Vec::new();
        if segment.rows == 0 {
            bytes.extend(header(replay, segment.first_row));
        }
        let mut next = segment.end();
        while next < replay.pushed()
            && segment.checksum.len as usize + bytes.len() < self.segment_bytes
        {
            replay.write_row(next, &mut bytes);
            next += 1;
        }
        let path = self.dir.join(&segment.file);
        segment.checksum = append_durable(storage, &path, segment.checksum, &bytes)?;
        segment.rows = next - segment.first_row;
        Ok(next)
    }

    /// Fills an empty `replay` with what a checkpoint recorded, and continues to write behind it.
    ///
    /// # Errors
    /// If a segment is damaged (`fix` is told with it) or the replay has other widths.
    pub fn load(
        dir: impl Into<PathBuf>,
        manifest: &ReplayManifest,
        replay: &mut Replay,
        fix: &str,
    ) -> Result<Self, RunError> {
        let mut store = Self::new(dir)?;
        check_widths(&store.dir, manifest, replay)?;
        let first_row = manifest.pushed - manifest.pushed.min(replay.capacity() as u64);
        replay.restore_from(first_row);
        for segment in &manifest.segments {
            let bytes = read_verified(&store.dir.join(&segment.file), segment.checksum, fix)?;
            restore(
                replay,
                segment,
                bytes.get(HEADER_LEN..).unwrap_or_default(),
                manifest.pushed,
            );
        }
        if replay.pushed() != manifest.pushed {
            return Err(incomplete(&store.dir, manifest, replay, fix));
        }
        (store.segments, store.written) = (manifest.segments.clone(), manifest.pushed);
        Ok(store)
    }

    /// Deletes the segments that no checkpoint names any more.
    ///
    /// # Errors
    /// If the folder cannot be read or a file not be removed.
    pub fn prune(&self, needed: &BTreeSet<String>) -> Result<(), RunError> {
        for name in names(&self.dir)?
            .iter()
            .filter(|name| !needed.contains(*name))
        {
            let path = self.dir.join(name);
            fs::remove_file(&path).map_err(|source| RunError::io("remove", &path, source))?;
        }
        Ok(())
    }

    /// Verifies the segments that a checkpoint recorded.
    ///
    /// # Errors
    /// If one is damaged.
    pub fn verify(dir: &Path, manifest: &ReplayManifest, fix: &str) -> Result<(), RunError> {
        let verify = |segment: &Segment| {
            read_verified(&dir.join(&segment.file), segment.checksum, fix).map(drop)
        };
        manifest.segments.iter().try_for_each(verify)
    }
}

fn header(replay: &Replay, first_row: u64) -> Vec<u8> {
    let mut bytes = MAGIC.to_vec();
    bytes.extend((replay.obs_dim() as u32).to_le_bytes());
    bytes.extend((replay.act_dim() as u32).to_le_bytes());
    bytes.extend(first_row.to_le_bytes());
    bytes
}

fn check_widths(dir: &Path, manifest: &ReplayManifest, replay: &Replay) -> Result<(), RunError> {
    let (found, expected) = (
        [manifest.obs_dim, manifest.act_dim],
        [replay.obs_dim(), replay.act_dim()],
    );
    if found == expected {
        return Ok(());
    }
    let (found, expected) = (found.to_vec(), expected.to_vec());
    let source = StateError::Shape {
        name: "replay [obs, act]".into(),
        found,
        expected,
    };
    Err(RunError::State {
        path: dir.to_owned(),
        source,
    })
}

/// Restores the rows of a segment that the ring still holds; stops where a row is missing before it.
fn restore(replay: &mut Replay, segment: &Segment, bytes: &[u8], pushed: u64) {
    let width = replay.row_bytes();
    if bytes.len() as u64 != segment.rows * width as u64 {
        // rows of another kind: what is not restored is told as missing
        return;
    }
    let rows = bytes.chunks_exact(width);
    for (number, row) in (segment.first_row..segment.end().min(pushed)).zip(rows) {
        if number == replay.pushed() {
            replay.restore_row(row);
        }
    }
}

fn incomplete(dir: &Path, manifest: &ReplayManifest, replay: &Replay, fix: &str) -> RunError {
    RunError::Damaged {
        path: dir.to_owned(),
        what: "the number of stored transitions",
        found: format!("{} (the next one is in no segment)", replay.pushed()).into(),
        expected: manifest.pushed.to_string().into(),
        fix: fix.into(),
    }
}
