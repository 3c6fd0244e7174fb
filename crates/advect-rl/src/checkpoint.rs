//! Checkpoints: atomic folders `checkpoints/step-0000025000/` with a sealed manifest.
//!
//! A checkpoint is written beside its place under a name that starts with a dot, every file synced, then renamed. So a folder
//! `step-...` is always complete, whatever happened to the process; the checksums tell what happened to the disk.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::error::RunError;
use crate::metrics::LogLengths;
use crate::replay_store::{ReplayManifest, ReplayStore};
use crate::state::StateDict;
use crate::storage::{
    Checksum, Storage, create_dir, names, publish, read_verified, remove_dir, sync_dir,
    write_durable,
};

/// The format that this version writes and reads.
pub const FORMAT: u32 = 3;
/// The oldest version that is read: without the flag of truncated transitions in the replay, which all count as not truncated (2 has it), and without
/// statistics of the running episodes, which begin anew.
const OLDEST_FORMAT: u32 = 1;
/// State of the agent.
pub const AGENT_FILE: &str = "agent.safetensors";
/// State of the training loop.
pub const LOOP_FILE: &str = "loop.safetensors";
/// The manifest.
pub const MANIFEST_FILE: &str = "manifest.json";
/// Folder of the checkpoints in a run directory.
pub const CHECKPOINTS_DIR: &str = "checkpoints";
/// Folder of the replay segments in a run directory.
pub const REPLAY_DIR: &str = "replay";

const CODE_VERSION: &str = concat!("advect ", env!("CARGO_PKG_VERSION"));

/// What a checkpoint is made of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// Version of the layout, [`FORMAT`].
    pub format: u32,
    /// The version that wrote it.
    pub code_version: String,
    /// Hash of algorithm, environment, seed and agent configuration.
    pub config_hash: u32,
    /// Environment steps taken.
    pub env_steps: u64,
    /// Length and CRC-32 of the checkpoint's own files.
    pub files: BTreeMap<String, Checksum>,
    /// The replay's segments.
    pub replay: ReplayManifest,
    /// Lengths of the logs.
    pub logs: LogLengths,
}

/// The manifest with its own checksum.
#[derive(Serialize, Deserialize)]
struct Sealed {
    crc32: u32,
    manifest: Manifest,
}

impl Manifest {
    /// The manifest of a checkpoint whose files are still to be written.
    pub fn new(config_hash: u32, env_steps: u64, replay: ReplayManifest, logs: LogLengths) -> Self {
        let code_version = CODE_VERSION.to_owned();
        Self {
            format: FORMAT,
            code_version,
            config_hash,
            env_steps,
            files: BTreeMap::new(),
            replay,
            logs,
        }
    }

    fn crc32(&self) -> u32 {
        // maps of strings and integers always have a JSON form
        crc32fast::hash(&serde_json::to_vec(self).unwrap_or_default())
    }
}

/// The folder of the checkpoint at `step`.
pub fn dir(run: &Path, step: u64) -> PathBuf {
    run.join(CHECKPOINTS_DIR).join(format!("step-{step:010}"))
}

fn hidden_dir(run: &Path, step: u64) -> PathBuf {
    run.join(CHECKPOINTS_DIR)
        .join(format!(".step-{step:010}.tmp"))
}

/// The steps of the checkpoints of a run, ascending.
///
/// # Errors
/// If the folder cannot be read.
pub fn steps(run: &Path) -> Result<Vec<u64>, RunError> {
    let parse = |name: String| name.strip_prefix("step-")?.parse().ok();
    let dir = run.join(CHECKPOINTS_DIR);
    if !dir.is_dir() {
        return Ok(Vec::new());
    }
    let mut steps: Vec<u64> = names(&dir)?.into_iter().filter_map(parse).collect();
    steps.sort_unstable();
    Ok(steps)
}

/// Writes a checkpoint and publishes it; returns its folder.
///
/// # Errors
/// If the disk is full or refuses; earlier checkpoints are untouched then.
pub(crate) fn save(
    storage: &dyn Storage,
    run: &Path,
    manifest: Manifest,
    files: &[(&str, Vec<u8>)],
) -> Result<PathBuf, RunError> {
    let (beside, place) = (
        hidden_dir(run, manifest.env_steps),
        dir(run, manifest.env_steps),
    );
    let written =
        write_files(storage, &beside, manifest, files).and_then(|()| publish(&beside, &place));
    if written.is_err() {
        // gives the space back; the first error is the one to report
        let _ = remove_dir(&beside);
    }
    written.map(|()| place)
}

fn write_files(
    storage: &dyn Storage,
    beside: &Path,
    mut manifest: Manifest,
    files: &[(&str, Vec<u8>)],
) -> Result<(), RunError> {
    remove_dir(beside)?;
    create_dir(beside)?;
    for (name, bytes) in files {
        let checksum = write_durable(storage, &beside.join(name), bytes)?;
        manifest.files.insert((*name).to_owned(), checksum);
    }
    let path = beside.join(MANIFEST_FILE);
    let sealed = Sealed {
        crc32: manifest.crc32(),
        manifest,
    };
    let json =
        serde_json::to_vec_pretty(&sealed).map_err(|e| RunError::io("write", &path, e.into()))?;
    write_durable(storage, &path, &json)?;
    sync_dir(beside)
}

/// Reads and verifies the manifest of the checkpoint at `step`.
///
/// # Errors
/// If there is no such checkpoint, or its manifest is damaged or of another format.
pub(crate) fn read_manifest(run: &Path, step: u64) -> Result<Manifest, RunError> {
    if !dir(run, step).is_dir() {
        return Err(RunError::NoCheckpoint {
            path: run.to_owned(),
            step,
            present: steps(run)?,
        });
    }
    let path = dir(run, step).join(MANIFEST_FILE);
    let text = match fs::read(&path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            return Err(RunError::io("read", &path, source));
        }
        text => text.unwrap_or_default(),
    };
    parse_manifest(&path, &text)
}

fn parse_manifest(path: &Path, text: &[u8]) -> Result<Manifest, RunError> {
    let damaged = |found: String| RunError::Damaged {
        path: path.to_owned(),
        what: "its content",
        found: found.into(),
        expected: "a sealed manifest".into(),
        fix: "".into(),
    };
    let json: Value = serde_json::from_slice(text).map_err(|e| damaged(e.to_string()))?;
    check_format(path, &json)?;
    let Sealed { crc32, manifest } =
        serde_json::from_value(json).map_err(|e| damaged(e.to_string()))?;
    if crc32 != manifest.crc32() {
        return Err(damaged(format!(
            "with CRC-32 {:08x} instead of {crc32:08x}",
            manifest.crc32()
        )));
    }
    Ok(manifest)
}

fn check_format(path: &Path, json: &Value) -> Result<(), RunError> {
    let manifest = &json["manifest"];
    match manifest["format"].as_u64() {
        Some(found) if !(OLDEST_FORMAT..=FORMAT).any(|known| u64::from(known) == found) => {
            Err(RunError::Format {
                path: path.to_owned(),
                found: found as u32,
                expected: FORMAT,
                written_by: manifest["code_version"]
                    .as_str()
                    .unwrap_or("unknown")
                    .to_owned(),
            })
        }
        _ => Ok(()),
    }
}

/// Reads and verifies one state file of a checkpoint.
///
/// # Errors
/// If the file is damaged.
pub(crate) fn read_state(
    run: &Path,
    manifest: &Manifest,
    name: &str,
) -> Result<StateDict, RunError> {
    let path = dir(run, manifest.env_steps).join(name);
    let recorded = manifest.files.get(name).copied().unwrap_or(Checksum::EMPTY);
    let bytes = read_verified(&path, recorded, "")?;
    StateDict::from_bytes(&bytes).map_err(|source| RunError::State { path, source })
}

/// Verifies everything that the checkpoint at `step` needs, replay included.
///
/// # Errors
/// The first damage found, with the newest older checkpoint that is intact.
pub fn verify(run: &Path, step: u64) -> Result<Manifest, RunError> {
    verify_alone(run, step).map_err(|error| advise(run, step, error))
}

fn verify_alone(run: &Path, step: u64) -> Result<Manifest, RunError> {
    let manifest = read_manifest(run, step)?;
    for (name, recorded) in &manifest.files {
        read_verified(&dir(run, step).join(name), *recorded, "")?;
    }
    ReplayStore::verify(&run.join(REPLAY_DIR), &manifest.replay, "")?;
    Ok(manifest)
}

/// Adds to a damage what can be done about it.
pub(crate) fn advise(run: &Path, step: u64, error: RunError) -> RunError {
    let RunError::Damaged {
        path,
        what,
        found,
        expected,
        ..
    } = error
    else {
        return error;
    };
    let older = steps(run)
        .unwrap_or_default()
        .into_iter()
        .rev()
        .filter(|other| *other < step);
    let intact = older
        .into_iter()
        .find(|other| verify_alone(run, *other).is_ok());
    let fix = match intact {
        Some(intact) => format!(
            "the checkpoint at step {intact} is intact: resume from it with --checkpoint {intact}"
        ),
        None => "no older checkpoint is intact: start the run anew".to_owned(),
    };
    RunError::Damaged {
        path,
        what,
        found,
        expected,
        fix: fix.into(),
    }
}

/// The state of the agent at `step` (the newest checkpoint if `None`), for evaluation; verifies what it reads.
///
/// # Errors
/// If there is no checkpoint or it is damaged.
pub fn load_agent(run: &Path, step: Option<u64>) -> Result<(Manifest, StateDict), RunError> {
    let newest = steps(run)?.last().copied().unwrap_or(0);
    let step = step.unwrap_or(newest);
    let load = || {
        let manifest = read_manifest(run, step)?;
        let state = read_state(run, &manifest, AGENT_FILE)?;
        Ok((manifest, state))
    };
    load().map_err(|error| advise(run, step, error))
}

/// Removes all but the newest `keep` checkpoints.
///
/// # Errors
/// If a folder cannot be removed.
pub(crate) fn retain_newest(run: &Path, keep: usize) -> Result<(), RunError> {
    let steps = steps(run)?;
    let old = steps.len().saturating_sub(keep.max(1));
    steps[..old].iter().try_for_each(|step| remove(run, *step))
}

/// Removes the checkpoints after `step` (all if `None`): a run that resumes from an older one writes them anew.
///
/// # Errors
/// If a folder cannot be removed.
pub(crate) fn discard_after(run: &Path, step: Option<u64>) -> Result<(), RunError> {
    let later = steps(run)?
        .into_iter()
        .filter(|other| step.is_none_or(|step| *other > step));
    later.into_iter().try_for_each(|step| remove(run, step))
}

fn remove(run: &Path, step: u64) -> Result<(), RunError> {
    publish(&dir(run, step), &hidden_dir(run, step))?;
    remove_dir(&hidden_dir(run, step))
}

/// Removes what an interrupted save or removal left.
///
/// # Errors
/// If a folder cannot be removed.
pub(crate) fn remove_leftovers(run: &Path) -> Result<(), RunError> {
    let dir = run.join(CHECKPOINTS_DIR);
    create_dir(&dir)?;
    let leftover = |name: &String| name.starts_with(".step-") && name.ends_with(".tmp");
    names(&dir)?
        .iter()
        .filter(|name| leftover(name))
        .try_for_each(|name| remove_dir(&dir.join(name)))
}

/// The segments that the checkpoints of a run name; `None` if one of their manifests cannot be read.
pub(crate) fn needed_segments(run: &Path) -> Result<Option<BTreeSet<String>>, RunError> {
    let mut needed = BTreeSet::new();
    for step in steps(run)? {
        let Ok(manifest) = read_manifest(run, step) else {
            return Ok(None);
        };
        needed.extend(
            manifest
                .replay
                .segments
                .into_iter()
                .map(|segment| segment.file),
        );
    }
    Ok(Some(needed))
}
